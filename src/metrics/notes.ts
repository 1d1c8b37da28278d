// What a reader must know to read an evaluation's numbers right, in sentences.
import { endings } from './health.js'
import type { EvaluationRow, Measurements } from './types.js'
import { rougeTokens } from './words.js'

/** Sentences in the order of their weight; none where there is nothing to say. */
export function notesOn(rows: readonly EvaluationRow[], metrics: Measurements): string[] {
  const truth = rows.flatMap(({ reference }) => (reference === undefined ? [] : [reference]))
  return [
    ...aboutReferences(rows.length, truth),
    ...aboutControls(truth.length, metrics),
    ...aboutScripts(truth),
    ...aboutFinish(rows),
  ]
}

function aboutReferences(rows: number, truth: string[]): string[] {
  if (rows === 0) return ['There are no rows.']
  if (truth.length === 0) {
    return [
      'No row has a true text: only what the outputs show by themselves is measured. --references FILE adds them.',
    ]
  }
  const notes = []
  if (truth.length < rows) {
    notes.push(`${rows - truth.length} of ${rows} rows have no true text: ROUGE, BLEU and chrF are over the others.`)
  }
  if (truth.length < 30) notes.push(`Only ${truth.length} rows are compared: the intervals are rough.`)
  if (truth.length < 2) notes.push('The shuffled control needs two rows.')
  return notes
}

/** Whether ROUGE-L tells the outputs from texts that know nothing of the row. */
function aboutControls(truth: number, { rougeL }: Measurements): string[] {
  if (truth < 2 || !rougeL?.interval || !rougeL.controls) return []
  const words = {
    shuffled: 'outputs of other rows',
    constant: 'one constant question',
    firstWords: "the text's first words",
  }
  const reached = Object.entries(rougeL.controls)
    .filter(([, control]) => (control.interval?.[1] ?? control.value) >= rougeL.interval![0])
    .map(([name]) => words[name as keyof typeof words])
  if (reached.length === 0) return ['ROUGE-L lies above every control, intervals and all.']
  return [`ROUGE-L is not clearly above ${reached.join(' and ')}.`]
}

function aboutScripts(truth: string[]): string[] {
  const unseen = truth.filter((text) => /\p{L}/u.test(text) && rougeTokens(text).length === 0).length
  if (unseen === 0 || unseen < truth.length / 100) return []
  return [`ROUGE sees Latin letters and digits alone; ${unseen} true texts have none. Read chrF for those.`]
}

function aboutFinish(rows: readonly EvaluationRow[]): string[] {
  const known = rows.filter(({ finish }) => finish !== undefined && endings.has(finish)).length
  if (rows.length === 0 || known === rows.length) return []
  if (known === 0) return ['No row says how its output ended ("finish"): missing ends are not measured.']
  return [`${rows.length - known} of ${rows.length} rows do not say how their output ended.`]
}
