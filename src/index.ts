// The public API: what the command line does, as functions. Types here need nothing but this package's own.
export { type PreprocessOptions, type PreprocessReport, preprocess } from './data/preprocess.js'
export type { DataRow, DropCount } from './data/types.js'
export { BtError, type BtErrorOptions } from './errors.js'
export type { GenerateInput, GenerateOptions } from './generate/options.js'
export { type GenerateControl, type GenerateStart, generate } from './generate/run.js'
export type { FinishReason, GeneratedRow, GenerateSummary } from './generate/types.js'
export { evaluate, evaluateAsync } from './metrics/evaluate.js'
export type { PaceControl } from './metrics/paced.js'
export { type EvaluationInput, type ReadEvaluationOptions, readEvaluation } from './metrics/predictions.js'
export type { EvaluateOptions, Evaluation, EvaluationRow } from './metrics/types.js'
export { type OpenModelOptions, openModel } from './models/open.js'
export type { ModelSource, TokenizerSource } from './models/types.js'
export { coreInfo, type OpenRuntime, openRuntime, type RuntimeOptions } from './native/runtime.js'
export type { OnProgress, Progress } from './progress.js'
export { makeTemplate, templateFromDescription } from './text/template.js'
export { openTokenizer } from './text/tokenizer.js'
export type {
  EncodedPrompt,
  EncodedRow,
  Pair,
  PromptTemplate,
  Task,
  TemplateDescription,
  Tokenizer,
} from './text/types.js'
export type { PlanEvent, RowCounts, StepEvent, TrainEvent, TrainSummary, ValidationEvent } from './train/events.js'
export { type PlanControl, planTraining, type SplitPlan, type TimePlan, type TrainingPlan } from './train/forecast.js'
export type { MemoryNeed } from './train/memory.js'
export type { TrainInput, TrainOptions } from './train/options.js'
export { type TrainControl, train } from './train/run.js'
