// A row of data as the rest of the package sees it, and where it came from.

/** One (instruction, response) pair with its origin. Unknown columns of the input travel along in `extra`. */
export interface DataRow {
  /** Sixteen hex digits of a SHA-256 over instruction and response (normalised): stable under reordering. */
  id: string
  instruction: string
  response: string
  /** Data set or file it came from, where known. */
  source?: string
  /** Other turns came before or after it in its conversation. */
  multiTurn?: boolean
  extra?: Record<string, unknown>
}

/** Why a row was left out, with how many and the first few places ("file:line"). */
export interface DropCount {
  reason: string
  count: number
  examples: string[]
}
