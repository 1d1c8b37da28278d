// The rows that both sides train on, as token ids, and the optimizer steps they fall into.
import { loadPairs, planSteps } from '../dist/data/index.js'
import { openModel } from '../dist/models/open.js'
import { makeTemplate, openTokenizer } from '../dist/text/index.js'

/** Rows of `file` as bt-native lays them out for SmolLM2: [{ tokens, targetStart }]. Rows that do not fit are left out. */
export async function realRows(file, maxTokens) {
  const { tokenizer: source } = await openModel('smollm2-135m')
  const template = await makeTemplate('backward', await openTokenizer(source), source)
  const { rows } = await loadPairs(file)
  const encoded = await Promise.all(rows.map((row) => template.encodePair(row, maxTokens).catch(fitsNot)))
  return encoded.filter((row) => row !== undefined)
}

function fitsNot(error) {
  if (error.code !== 'BT_ROW_TOO_LONG') throw error
}

/** Random ids in place of each row's own: for weights that never saw a text. The same in every run. */
export function randomised(rows, vocabulary) {
  let state = 1
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return 3 + (state % (vocabulary - 3)) // 0 to 2 are control tokens
  }
  return rows.map(({ tokens, targetStart }) => ({ tokens: tokens.map(next), targetStart }))
}

/** Rows of one length, an eighth of it scored, `tokensPerStep` tokens a step (at least one row). */
export function evenSteps({ length, count, tokensPerStep, vocabulary }) {
  const perStep = Math.max(1, Math.floor(tokensPerStep / length))
  const blank = { tokens: new Int32Array(length), targetStart: length - Math.max(1, length >> 3) }
  const rows = randomised(Array(perStep * count).fill(blank), vocabulary)
  return Array.from({ length: count }, (_, step) => {
    const part = rows.slice(step * perStep, (step + 1) * perStep).map((row, id) => ({ ...row, id }))
    return { rows: part, sorted: part, microBatches: chunks(part, 4) }
  })
}

/**
 * Optimizer steps over the rows in bt-native's own order. `rows` is that order, `sorted` the same by length (longest
 * first), `microBatches` bt-native's split of these.
 * @param plan { batchSize, gradAccumSteps } or { batchSize, tokensPerStep }
 */
export function stepsOf(rows, count, plan) {
  const lengths = rows.map(({ tokens }) => tokens.length)
  const steps = []
  for (let epoch = 0; steps.length < count; epoch++) {
    const planned = planSteps({ lengths, ...plan, seed: 0, epoch })
    // The last step of an epoch may be short of rows: not one to time.
    steps.push(...(planned.length > 1 ? planned.slice(0, -1) : planned))
  }
  const rowOf = (id) => ({ id, ...rows[id] })
  return steps.slice(0, count).map((step) => {
    const microBatches = step.microBatches.map((ids) => Array.from(ids, rowOf))
    return { rows: Array.from(step.rows, rowOf), sorted: microBatches.flat(), microBatches }
  })
}

/** Steps of 4 rows each from the shortest rows there are, for comparing losses at little cost. */
export function shortSteps(rows, count) {
  const shortest = rows.toSorted((a, b) => a.tokens.length - b.tokens.length).slice(0, count * 4)
  return stepsOf(shortest, count, { batchSize: 4, gradAccumSteps: 1 })
}

export function chunks(rows, size) {
  return Array.from({ length: Math.ceil(rows.length / size) }, (_, i) => rows.slice(i * size, (i + 1) * size))
}

export function tokensOf(rows) {
  return rows.reduce((sum, { tokens }) => sum + tokens.length, 0)
}
