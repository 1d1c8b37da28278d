// The one error class of the package: a code, what was wrong and where, and what to do about it.

/** What a BtError has beside its code and message. */
export interface BtErrorOptions {
  /** What the user can do; printed on its own line. */
  remedy?: string
  cause?: unknown
}

/** An error that a user can act on. `message` says what was wrong and where (file:line, tensor, option). */
export class BtError extends Error {
  override readonly name = 'BtError'
  /** Stable, upper-case, for instance "BT_DATA_COLUMN"; docs/troubleshooting.md lists them. */
  readonly code: string
  readonly remedy: string | undefined

  constructor(code: string, message: string, options: BtErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.remedy = options.remedy
  }
}

/** `error` as a message, whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** True for a Node error with this code ("ENOENT") or a BtError with it. */
export function hasCode(error: unknown, code: string): boolean {
  return typeof error === 'object' && error !== null && (error as { code?: unknown }).code === code
}
