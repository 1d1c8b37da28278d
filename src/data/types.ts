// A row of data as the rest of the package sees it, and where it came from.
import type { Conversation } from '../text/types.js'

/** One (instruction, response) pair with its origin. Unknown columns of the input travel along in `extra`. */
export interface DataRow {
  /** Sixteen hex digits of a SHA-256 over its texts (normalised): stable under reordering. */
  id: string
  instruction: string
  response: string
  /** Data set or file it came from, where known. */
  source?: string
  /** Other turns came before or after it in its conversation. */
  multiTurn?: boolean
  /** What it is the first pair of: where it was read with it, and there is more than the pair. `id` is over all of it. */
  conversation?: Conversation
  extra?: Record<string, unknown>
}

/** Why a row was left out, with how many and the first few places ("file:line"). */
export interface DropCount {
  reason: string
  count: number
  examples: string[]
}
