// What a comparison of models comes to.
import type { DropCount } from '../data/types.js'
import type { Outcomes } from '../metrics/paired.js'
import type { Difference, Estimate, SystemsEvaluation } from '../metrics/types.js'

/** How likely a model takes responses to be; null where no row could be scored. */
export interface Likelihood {
  /** Mean log p of a token of the responses, nats, with its 95 % interval. */
  logProb: Estimate | null
  perplexity: number | null
  tokens: number
}

/** One of the models, and what it reached. */
export interface ComparedModel {
  name: string
  /** The base model. */
  model: string
  adapter?: string
  /** Added as a control: the base model without adapter. */
  control: boolean
  likelihood: Likelihood
  /** Of the responses of other rows: what it makes of texts that do not answer the instruction. */
  shuffled: Likelihood
  /** What the right instruction is worth: log p a token of the same responses with it and with another row's, nats. */
  gain: Difference | null
}

/** A model against a baseline: log p a token, nats; wins, ties and losses are rows. */
export interface LikelihoodDifference extends Outcomes {
  model: string
  baseline: string
  difference: Difference
}

/** What the judge made of a model's responses beside the baseline's. */
export interface Preference extends Outcomes {
  model: string
  baseline: string
  /** Responses of the baseline to other instructions: a judge that does not tell them from its own answers judges nothing. */
  control: boolean
  /** Rows of which an answer of the judge in either order could not be read: in none of the others. */
  unparsable: number
  /** Among the ties: both wrote the same, so nothing was asked. */
  same: number
  /** Wins and half the ties, 0 to 1; p against one half. */
  rate?: Difference
  /** Share of the readable verdicts that name the answer shown first: one half for a judge without a bias. */
  first?: number
}

/** What the judge said of two models' responses. */
export interface Judgement {
  /** Address without key or query. */
  endpoint: string
  model: string
  preferences: Preference[]
  /** Whether verdicts came from the letters' probabilities. */
  byProbability: boolean
}

/** Content of compare.json. */
export interface Comparison {
  format: 1
  version: string
  /** Hash of everything that the numbers are a function of. */
  fingerprint: string
  data: string
  rows: number
  dropped: DropCount[]
  /** The models that the others are held against. */
  baselines: string[]
  models: ComparedModel[]
  /** Rows that every model could score, in both pairings: likelihoods are over these. */
  scored: number
  likelihood: LikelihoodDifference[]
  /** ROUGE-L and the other metrics of what the models wrote, if they wrote. */
  writing?: SystemsEvaluation
  judgement?: Judgement
  options: { maxNewTokens: number; maxTokens: number; bootstrap: number; seed: number }
}

/** What came of a comparison. */
export interface CompareSummary {
  output: string
  /** Undefined where the work was interrupted. */
  comparison?: Comparison
  seconds: number
  interrupted: boolean
  alreadyDone: boolean
}
