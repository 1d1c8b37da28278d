// What long work tells whoever watches: the API reports, the command line prints. Nothing is printed here.

/** One report of work under way. */
export interface Progress {
  /** What is being done, in a few words: "downloading torch 2.11.0". */
  label: string
  /** Units done and, where known, in all. */
  done: number
  total?: number
  /** What a unit is. */
  unit: 'bytes' | 'rows' | 'steps' | 'tokens' | 'files'
  /** What else is to be said now: "loss 2.291". */
  note?: string
}

/** Called now and then while something long runs. */
export type OnProgress = (progress: Progress) => void
