// Everything that generated rows are a function of beside the input, by name, as a person reads it. An option that changes
// nothing unless it is given is named only where it is.
import type { PromptTemplate } from '../text/types.js'
import type { Located } from './load.js'
import type { Precision } from './machine.js'
import type { GenerateOptions } from './options.js'
import type { Fingerprint } from './output.js'
import { isGreedy, retryTemperature } from './sampling.js'

/** @param precision undefined where the machine will say what "auto" is */
export function fingerprintOf(
  options: GenerateOptions,
  { source, adapter, template, system }: Located,
  precision: Precision | undefined,
): Fingerprint {
  return {
    model: source.hash.slice(0, 16),
    adapter: adapter?.hash.slice(0, 16) ?? 'none',
    template: template.hash,
    ...(system === undefined ? {} : { system }),
    ...turnsOf(options, template),
    column: options.column ?? null,
    ...samplingOf(options),
    ...penaltiesOf(options),
    ...candidatesOf(options),
    ...guardOf(options),
    maxNewTokens: options.maxNewTokens,
    maxTokens: options.maxTokens,
    precision,
    ...(options.weights === 'model' ? {} : { weights: options.weights }),
    ...(options.keepAdapter ? { keepAdapter: true } : {}),
  }
}

function turnsOf({ turns }: GenerateOptions, template: PromptTemplate): Fingerprint {
  if (turns === 'first') return {}
  return { turns, conversations: template.describe(true).conversation!.hash }
}

function samplingOf(options: GenerateOptions): Fingerprint {
  if (isGreedy(options)) return { temperature: 0 }
  return { temperature: options.temperature, ...truncationOf(options) }
}

function truncationOf({ topP, topK, minP, typicalP, seed }: GenerateOptions): Fingerprint {
  return { topP, topK, minP, ...(typicalP === 1 ? {} : { typicalP }), seed }
}

function penaltiesOf(options: GenerateOptions): Fingerprint {
  const { repetitionPenalty, presencePenalty, frequencyPenalty, uniqueNgram, logitBias, stop, stopTokens } = options
  return {
    repetitionPenalty,
    ...(presencePenalty === 0 ? {} : { presencePenalty }),
    ...(frequencyPenalty === 0 ? {} : { frequencyPenalty }),
    ...(uniqueNgram === 0 ? {} : { uniqueNgram }),
    ...(logitBias ? { logitBias: JSON.stringify(logitBias) } : {}),
    ...(stop?.length ? { stop: JSON.stringify(stop) } : {}),
    ...(stopTokens?.length ? { stopTokens: stopTokens.join(',') } : {}),
  }
}

function candidatesOf({ n, rerank, keepCandidates, logProbs }: GenerateOptions): Fingerprint {
  return {
    ...(n === 1 ? {} : { n, rerank }),
    ...(keepCandidates ? { keepCandidates } : {}),
    ...(logProbs ? { logProbs } : {}),
  }
}

/** What a second attempt is a function of counts where there may be one. */
function guardOf(options: GenerateOptions): Fingerprint {
  const faults = options.guard.join(',') || 'none'
  if (faults === 'none') return { guard: faults }
  const retries = { guard: faults, guardRetries: options.guardRetries }
  if (options.guardRetries === 0 || !isGreedy(options)) return retries
  return { ...retries, retryTemperature: retryTemperature(options)!, ...truncationOf(options) }
}
