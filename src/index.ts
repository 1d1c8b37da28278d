// The public API: what the command line does, as functions. Types here need nothing but this package's own.
export type { CurateInput, CurateOptions, ScorerInput, ScorerOptions } from './curate/options.js'
export { type CurateControl, curate } from './curate/run.js'
export { openScorer, type Scorer } from './curate/scorer.js'
export type {
  CandidatePair,
  CurateStart,
  CurateSummary,
  PairScores,
  ScoredPair,
  ScoreHistogram,
  ScoreName,
} from './curate/types.js'
export { type PreprocessOptions, type PreprocessReport, preprocess } from './data/preprocess.js'
export type { DataRow, DropCount } from './data/types.js'
export { buildLineage, type LineageInputs, type LineageSummary, type Origin } from './dataset/lineage.js'
export type { DatasetFormat, DatasetInput, DatasetOptions } from './dataset/options.js'
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
export type { ExportInput, ExportOptions } from './export/options.js'
export { type ExportControl, exportModel } from './export/run.js'
export type { ExportComparison, ExportStart, ExportSummary, ExportWritten } from './export/types.js'
export type { Fault } from './generate/guard.js'
export { type MergeControl, type MergeOptions, type MergeSummary, mergeShards } from './generate/merge.js'
export type { GenerateInput, GenerateOptions } from './generate/options.js'
export { type PackedScoreOptions, rowLogProbs } from './generate/packed-score.js'
export { type GenerateControl, type GenerateStart, generate } from './generate/run.js'
export { type ScoreControl, type ScoredRow, type ScoreStart, type ScoreSummary, score } from './generate/score.js'
export type { ScoreInput, ScoreOptions } from './generate/score-options.js'
export type { Shard } from './generate/shard.js'
export type { FinishReason, GeneratedRow, GenerateSummary, WritingOutcome, WrittenCandidate } from './generate/types.js'
export { evaluate, evaluateAsync } from './metrics/evaluate.js'
export type { Matched, System, SystemRow, Unmatched } from './metrics/match.js'
export type { PaceControl } from './metrics/paced.js'
export { type EvaluationInput, type ReadEvaluationOptions, readEvaluation } from './metrics/predictions.js'
export { evaluateSystems } from './metrics/systems.js'
export type {
  Difference,
  EvaluateOptions,
  EvaluateSystemsOptions,
  Evaluation,
  EvaluationRow,
  SystemDifferences,
  SystemEvaluation,
  SystemsEvaluation,
} from './metrics/types.js'
export { type OpenModelOptions, openModel } from './models/open.js'
export type { ModelSource, TokenizerSource } from './models/types.js'
export { coreInfo, type OpenRuntime, openRuntime, type RuntimeOptions } from './native/runtime.js'
export type { OnProgress, Progress } from './progress.js'
export type { Audit, AuditRow, AuditRowSize, AuditToken, Overlap, Spread, TokenKind } from './report/audit.js'
export { auditPage } from './report/audit-page.js'
export { type AuditTextOptions, auditText } from './report/audit-text.js'
export { type Histogram, histogramOf, histogramText } from './report/histogram.js'
export type {
  Fact,
  ReportSample,
  ReportStep,
  ReportValidation,
  TrainingReport,
} from './report/training.js'
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
export { makeTemplate, templateFromDescription } from './text/template.js'
export { openTokenizer } from './text/tokenizer.js'
export type {
  Dropped,
  EncodedPrompt,
  EncodedRow,
  Pair,
  PromptTemplate,
  Task,
  TemplateDescription,
  Tokenizer,
  TracedRow,
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
export { type TrainControl, train } from './train/run.js'
export type { Sample } from './train/samples.js'
export type { StepScores } from './train/spikes.js'
