// Cutting a context's end so that a prompt fits. Errors for what cannot fit are the caller's.
import type { Stretch } from './forms.js'
import { trimEnd } from './trim.js'
import type { Dropped, Tokenizer } from './types.js'

/** Tokens of context without which a prompt is not worth anything. */
export const leastContext = 16

export interface Fitted {
  /** Ids of the whole stretch. */
  ids: number[]
  /** Tokens that were cut. */
  cut: number
  /** What was cut, by its place in `ids`. */
  dropped?: Dropped
}

/**
 * The stretch with as much of the context as fits into `room` tokens. The text is cut where a token starts and encoded
 * again, so that the ids are those of a real, shorter text; no character is ever split.
 * @param whole ids of the stretch with all of the context
 * @param overhead tokens of the stretch beside the context's
 * @returns undefined when fewer than 16 tokens of context (or all, if it has fewer) would stay
 */
export async function fitContext(
  tokenizer: Tokenizer,
  { before, after, place }: Stretch,
  text: string,
  { whole, overhead, room }: { whole: number[]; overhead: number; room: number },
): Promise<Fitted | undefined> {
  if (whole.length <= room) return { ids: whole, cut: 0 }
  const { starts } = await tokenizer.encodeWithPlaces(before + text + after, place)
  const own = starts.filter((start) => start >= before.length && start < before.length + text.length)
  let keep = Math.min(room - overhead, own.length - 1)
  while (keep >= leastContext) {
    const kept = trimEnd(text.slice(0, own[keep]! - before.length))
    const ids = await tokenizer.encodeText(before + kept + after, place)
    if (ids.length <= room) return { ids, cut: whole.length - ids.length, dropped: difference(whole, ids) }
    keep -= ids.length - room
  }
  return undefined
}

/** What stands in `whole` between the tokens that it begins and ends with as `fitted` does. */
export function difference(whole: number[], fitted: number[]): Dropped {
  let at = 0
  while (at < fitted.length && fitted[at] === whole[at]) at++
  let after = 0
  while (after < fitted.length - at && fitted.at(-1 - after) === whole.at(-1 - after)) after++
  return { at, tokens: whole.slice(at, whole.length - after) }
}
