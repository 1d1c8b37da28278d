// The public API: what the command line does, as functions. Types here need nothing but this package's own.
export type {
  AdvanceResult,
  CoreInfo,
  Dtype,
  ExportTensorOptions,
  ExportType,
  Finished,
  LoadModelOptions,
  Lora,
  LoraOptions,
  LoraTensor,
  MemoryInfo,
  Model,
  ModelConfig,
  NativeErrorCode,
  NotFinite,
  PackedBatch,
  RopeScaling,
  Runtime,
  Sampler,
  SamplerOptions,
  SamplerPrompt,
  SamplingOptions,
  StepOptions,
  StepResult,
  StopTexts,
  StoredType,
  TargetModule,
  TensorEntry,
  Trainer,
  TrainerOptions,
  TrainerState,
} from '../binding.js'
export type { CompareInput, CompareOptions } from './compare/options.js'
export { type CompareControl, type CompareStart, compare } from './compare/run.js'
export type {
  ComparedModel,
  CompareSummary,
  Comparison,
  Judgement,
  Likelihood,
  LikelihoodDifference,
  Preference,
} from './compare/types.js'
export type { Calibration, ScoreSeparation } from './curate/calibration.js'
export type { Logistic } from './curate/logistic.js'
export type { CurateInput, CurateOptions, ScorerInput, ScorerOptions } from './curate/options.js'
export { type PlantedKind, plantedKinds } from './curate/plant.js'
export { type CurateControl, curate } from './curate/run.js'
export { openScorer, type Scorer } from './curate/scorer.js'
export type { Separation } from './curate/separation.js'
export {
  type CandidatePair,
  type CurateStart,
  type CurateSummary,
  type PairScores,
  type ScoredPair,
  type ScoreHistogram,
  type ScoreName,
  scoreNames,
} from './curate/types.js'
export type { Malformed } from './data/drops.js'
export type { FilterOptions } from './data/filter.js'
export type { PairColumns } from './data/formats.js'
export type { LengthSummary } from './data/lengths.js'
export type { Lineage } from './data/lineage.js'
export type { PackableRow } from './data/packing.js'
export { type PreprocessOptions, type PreprocessReport, preprocess } from './data/preprocess.js'
export type { InputSummary } from './data/rows.js'
export type { DataRow, DropCount } from './data/types.js'
export type { Count } from './dataset/counts.js'
export { buildLineage, type LineageInputs, type LineageSummary, type Origin } from './dataset/lineage.js'
export { type DatasetFormat, type DatasetInput, type DatasetOptions, formatNames } from './dataset/options.js'
export { type PublishControl, type PublishOptions, type PublishSummary, publish } from './dataset/publish.js'
export type { RepoType } from './dataset/publish-files.js'
export { lineageInputsOf } from './dataset/run-files.js'
export {
  type Excerpt,
  type LineageIteration,
  type LineageRow,
  type Trace,
  type TraceOptions,
  trace,
} from './dataset/trace.js'
export { renderTrace, type TraceTextOptions } from './dataset/trace-text.js'
export { type DatasetControl, type DatasetSummary, writeDataset } from './dataset/write.js'
export { BtError, type BtErrorOptions } from './errors.js'
export type { ExportDtype, ExportInput, ExportOptions } from './export/options.js'
export { type ExportControl, exportModel } from './export/run.js'
export type { ExportComparison, ExportStart, ExportSummary, ExportWritten } from './export/types.js'
export {
  type ConverseSummary,
  converse,
  type WrittenConversation,
  type WrittenTurn,
} from './generate/converse.js'
export type { ConverseInput, ConverseOptions } from './generate/converse-options.js'
export { type Fault, faultNames } from './generate/guard.js'
export type { LocateControl } from './generate/load.js'
export type { Machine, Precision } from './generate/machine.js'
export { type MergeControl, type MergeOptions, type MergeSummary, mergeShards } from './generate/merge.js'
export type { GenerateInput, GenerateOptions } from './generate/options.js'
export { type PackedScoreOptions, rowLogProbs } from './generate/packed-score.js'
export { type GenerateControl, type GenerateStart, generate } from './generate/run.js'
export { type ScoreControl, type ScoredRow, type ScoreStart, type ScoreSummary, score } from './generate/score.js'
export type { ScoreInput, ScoreOptions } from './generate/score-options.js'
export type { Shard } from './generate/shard.js'
export type {
  ConversationMessage,
  FinishReason,
  GeneratedRow,
  GenerateSummary,
  WritingOutcome,
  WrittenCandidate,
} from './generate/types.js'
export { evaluate, evaluateAsync } from './metrics/evaluate.js'
export type { Matched, System, SystemRow, Unmatched } from './metrics/match.js'
export type { PaceControl } from './metrics/paced.js'
export {
  type EvaluationColumns,
  type EvaluationInput,
  type PredictionRow,
  type ReadEvaluationOptions,
  readEvaluation,
} from './metrics/predictions.js'
export { evaluateSystems } from './metrics/systems.js'
export type {
  ControlName,
  Difference,
  Estimate,
  EvaluateOptions,
  EvaluateSystemsOptions,
  Evaluation,
  EvaluationRow,
  Measurement,
  Measurements,
  MetricName,
  SourceEvaluation,
  SystemDifferences,
  SystemEvaluation,
  SystemsEvaluation,
} from './metrics/types.js'
export { type OpenModelOptions, openModel } from './models/open.js'
export type { ModelSource, TokenizerSource } from './models/types.js'
export type { LoadOptions } from './native/load.js'
export { coreInfo, type OpenRuntime, openRuntime, type RuntimeOptions } from './native/runtime.js'
export type { ExecuteControl, PlannedStage, StageEvent } from './pipeline/execute.js'
export type { Forecast } from './pipeline/forecast.js'
export type { RecipeInput } from './pipeline/recipe.js'
export {
  planRun,
  type RunControl,
  type RunEvent,
  type RunInput,
  type RunPlan,
  type RunSummary,
  run,
} from './pipeline/run.js'
export type { StageKind, StageResult } from './pipeline/stage.js'
export type { FileStamp, StageRecord } from './pipeline/state.js'
export type { OnProgress, Progress } from './progress.js'
export type {
  Audit,
  AuditRow,
  AuditRowSize,
  AuditToken,
  Overlap,
  OverlapKind,
  Spread,
  TokenKind,
} from './report/audit.js'
export { auditPage } from './report/audit-page.js'
export { type AuditTextOptions, auditText } from './report/audit-text.js'
export { type Histogram, histogramOf, histogramText } from './report/histogram.js'
export type {
  Interval,
  Measured,
  RunComparison,
  RunCuration,
  RunDifference,
  RunDrop,
  RunFlow,
  RunHistogram,
  RunLosses,
  RunReport,
  RunSample,
  RunStage,
  ScoreQuality,
  Separating,
  StageStatus,
} from './report/run.js'
export type { Point } from './report/thin.js'
export type { Fact, ReportSample, ReportStep, ReportValidation, TrainingReport } from './report/training.js'
export type { RewriteInput, RewriteOptions } from './rewrite/options.js'
export { type RewriteControl, rewrite } from './rewrite/run.js'
export type { RewriteOutcome, RewriteStart, RewriteSummary, RewrittenRow } from './rewrite/types.js'
export type { SegmentInput, SegmentOptions } from './segment/options.js'
export {
  type PreparedCorpus,
  prepareCorpus,
  type SegmentControl,
  type SegmentStart,
  segmentCorpus,
} from './segment/run.js'
export type { DroppedRow, Segment, SegmentSummary } from './segment/types.js'
export type { SpelledToken } from './text/spell.js'
export { makeTemplate, type TemplateOptions, type TemplateSource, templateFromDescription } from './text/template.js'
export { openTokenizer } from './text/tokenizer.js'
export type {
  Before,
  ControlToken,
  Conversation,
  ConversationRow,
  Dropped,
  EncodedConversation,
  EncodedPrompt,
  EncodedRow,
  Pair,
  PromptTemplate,
  Task,
  TemplateDescription,
  TextPlace,
  Tokenizer,
  TracedRow,
  Turns,
} from './text/types.js'
export { type AuditChoice, audit } from './train/audit.js'
export type {
  EarlyStopEvent,
  PlanEvent,
  RowCounts,
  StepEvent,
  TrainEvent,
  TrainSummary,
  ValidationEvent,
} from './train/events.js'
export { type PlanControl, planTraining, type SplitPlan, type TimePlan, type TrainingPlan } from './train/forecast.js'
export type { MemoryNeed } from './train/memory.js'
export type { TrainInput, TrainOptions } from './train/options.js'
export { readReport, trainReport } from './train/report.js'
export type { PrepareControl } from './train/rows.js'
export { type TrainControl, train } from './train/run.js'
export type { Sample } from './train/samples.js'
export type { StepScores } from './train/spikes.js'
