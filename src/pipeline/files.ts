// Where the files of a run lie, relative to its folder.

export const seedFile = 'seed/seed.jsonl'
export const heldOutFile = 'seed/held-out.jsonl'
export const segmentsFile = 'corpus/segments.jsonl'
export const pairsFile = 'augment/pairs.jsonl'
export const lineageFile = 'lineage.parquet'
export const reportFile = 'report.html'
/** What the backward model writes for held-out responses, scored. */
export const instructionsFile = 'check/evaluation.json'
export const evaluationFolder = 'evaluation'
export const comparisonFile = `${evaluationFolder}/comparison.json`

/** Name of the model of an iteration: 0 is trained on the seed alone. */
export function modelName(iteration: number): string {
  return `m${iteration}`
}

/** Folder of a model: "backward", "m0", "m1", "control". */
export function modelFolder(name: string): string {
  return `models/${name}`
}

/** What stages read of a trained model. */
export function adapterFiles(name: string): string[] {
  return ['adapter_model.safetensors', 'adapter_config.json'].map((file) => `${modelFolder(name)}/${file}`)
}

/** Rows that the model of this name is trained on: "mix-0" has those of "m0". */
export function mixFolder(name: string): string {
  return `mix-${name.replace(/^m(?=\d)/, '')}`
}

export function mixFile(name: string): string {
  return `${mixFolder(name)}/rows.jsonl`
}

/** Kept rows of an iteration, all rows with their scores, and what the scores are worth. */
export function curatedFiles(iteration: number) {
  const folder = `curate-${iteration}`
  return {
    kept: `${folder}/curated.jsonl`,
    scored: `${folder}/curated.scored.jsonl`,
    calibration: `${folder}/curated.calibration.json`,
  }
}

/** Kept rows of an iteration with what was rewritten of them. */
export function rewrittenFile(iteration: number): string {
  return `rewrite-${iteration}/rewritten.jsonl`
}
