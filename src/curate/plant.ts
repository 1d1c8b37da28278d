// Bad pairs made from good ones, to measure scores on: each fault is one that backtranslation has.
import { below, randomAt } from '../metrics/random.js'
import { foreignSentences } from './foreign.js'
import type { CandidatePair } from './types.js'

/**
 * shuffled: the instruction of another pair; cut: the response ends in the middle of a sentence; language: the response is
 * about as long, and in another language.
 */
export const plantedKinds = ['shuffled', 'cut', 'language'] as const
/** How a good pair was made a bad one. */
export type PlantedKind = (typeof plantedKinds)[number]

/** A good pair, or a bad one made from it. */
export interface PlantedPair extends CandidatePair {
  kind: 'good' | PlantedKind
  /** Number of the good pair. */
  origin: number
}

/**
 * For each good pair itself and one bad pair of each kind, side by side. The same pairs and seed give the same.
 * @param good two or more
 */
export function plantPairs(good: readonly CandidatePair[], seed: number): PlantedPair[] {
  const random = randomAt(seed, 'planted pairs')
  // A step that is no multiple of their number: no pair keeps its instruction.
  const step = 1 + below(random(0), good.length - 1)
  return good.flatMap((pair, origin) => {
    const draws = drawsFrom(random, 1 + origin * drawsEach)
    const make = (kind: PlantedPair['kind'], change: Partial<CandidatePair>): PlantedPair => {
      const { id, instruction, response } = pair
      return { instruction, response, ...change, id: `${id}/${kind}`, kind, origin }
    }
    return [
      make('good', {}),
      make('shuffled', { instruction: good[(origin + step) % good.length]!.instruction }),
      make('cut', { response: cutResponse(pair.response, draws) }),
      make('language', { response: foreignResponse(pair.response, draws) }),
    ]
  })
}

/** Random numbers that one pair has to itself. */
const drawsEach = 1 << 10

function drawsFrom(random: (position: number) => number, first: number): (count: number) => number {
  let next = first
  return (count) => below(random(next++), count)
}

/** Share of a response that a cut one keeps: from this, so much more at most. */
const leastKept = 0.3
const mostMore = 0.5

/** Ends after a word in the midst of a sentence; of a text without spaces, after a sign. */
function cutResponse(response: string, draw: (count: number) => number): string {
  const wanted = Math.max(1, Math.round(response.length * (leastKept + (mostMore * draw(1000)) / 1000)))
  const words = [...response.matchAll(/\s+/g)].map(({ index }) => index)
  const places = words.filter((at) => /[\p{L}\p{N},]$/u.test(response.slice(0, at)))
  const near = places.toSorted((a, b) => Math.abs(a - wanted) - Math.abs(b - wanted))[0]
  if (near !== undefined && near > 0) return response.slice(0, near)
  return Array.from(response)
    .slice(0, Math.max(1, Math.floor(Array.from(response).length / 2)))
    .join('')
}

/** Sentences of one language in a drawn order, until they are as long as the response; no sentence twice. */
function foreignResponse(response: string, draw: (count: number) => number): string {
  const languages = Object.keys(foreignSentences)
  const language = languages[draw(languages.length)]!
  const left = [...foreignSentences[language]!]
  const joint = language === 'zh' ? '' : ' '
  // A Chinese sign says about as much as three letters.
  const wanted = language === 'zh' ? response.length / 3 : response.length
  let text = ''
  while (left.length > 0 && text.length < wanted) {
    const [sentence] = left.splice(draw(left.length), 1)
    text = text === '' ? sentence! : `${text}${joint}${sentence}`
  }
  return text
}
