// What the data folder offers to the rest of the package.
export { type JsonlAppender, openJsonlAppender, writeJsonFromJsonl } from './appender.js'
export { Drops, type Malformed } from './drops.js'
export { formats, type PairColumns, parseColumns } from './formats.js'
export { type LoadedPairs, type LoadOptions, loadPairs } from './load.js'
export { normaliseText, rowId } from './normalise.js'
export {
  epochOrder,
  type PackableRow,
  type PlannedStep,
  type PlanOptions,
  packBatch,
  planSteps,
  scoredCount,
  scoredSpans,
} from './packing.js'
export { type PreprocessOptions, type PreprocessReport, preprocess } from './preprocess.js'
export { type InputSummary, type ReadOptions, type ReadRow, readRows, rowToJson } from './rows.js'
export { isValidationRow, splitValidation } from './split.js'
export { type ReadTextsOptions, readTexts, type TextRow } from './texts.js'
export type { DataRow, DropCount } from './types.js'
