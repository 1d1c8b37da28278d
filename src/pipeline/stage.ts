// What a stage of the loop is: its inputs, outputs and options, and how it is run. What each does is in stages/.
import type { DropCount } from '../data/types.js'
import type { OnProgress } from '../progress.js'

/** What a stage does. */
export type StageKind = 'data' | 'train' | 'write' | 'score' | 'evaluate'

/** What a stage tells when it is done. */
export interface StageResult {
  rowsIn?: number
  rowsOut?: number
  dropped?: DropCount[]
  /** A few words for people: "validation loss 2.139". */
  note?: string
  /** Everything that the command of the stage would print as JSON. */
  summary: Record<string, unknown>
  /** Stopped by the signal with what was done saved; the next call goes on. */
  interrupted?: boolean
}

export interface StageContext {
  /** Absolute path of a file or folder of the run. */
  at(path: string): string
  /** Finish what is under way, save, end. */
  signal?: AbortSignal
  /** Drop what is under way. */
  abort?: AbortSignal
  onProgress: OnProgress
  onWarning(text: string): void
}

/** How much is in a file, or is expected to be. */
export interface Volume {
  rows: number
  /** Tokens of a row, about. */
  tokens: number
}

/** What a stage will go through, for a forecast. */
export interface Work {
  rowsIn: number
  /** What is expected in its outputs, by file. */
  makes: Record<string, Volume>
  /** Tokens that are trained on, that are read by a model, and that are written one by one. */
  trained?: number
  read?: number
  written?: number
}

export interface Stage {
  /** Of the folder, the state and the flow: "curate-1". */
  name: string
  /** For people: "rate with M_0, keep the best". */
  title: string
  kind: StageKind
  /** Folder of the run that is this stage's alone. */
  folder: string
  /** Files of the run that are read: outputs of earlier stages. */
  reads: string[]
  /** Files outside the run that are read: absolute paths. */
  files?(): Promise<string[]>
  /** Whether a model computes: then the model's hash counts. */
  usesModel: boolean
  /** Everything else that the result is a function of. */
  options: Record<string, unknown>
  /** Files of the run that are there when it is done; the stages that read them are a function of their content. */
  outputs: string[]
  /** Expected work, given the rows in each file that is read. */
  expect(rows: (file: string) => Volume): Promise<Work>
  run(context: StageContext): Promise<StageResult>
}
