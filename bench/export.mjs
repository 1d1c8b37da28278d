// `npm run bench -- export`: an adapter merged into SmolLM2 in every format and type, and the files read by those they
// are for: transformers the folders, llama.cpp the GGUF files. Not timed: what is compared is what they compute.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadPairs, packBatch } from '../dist/data/index.js'
import { exportModel } from '../dist/index.js'
import { readAdapter } from '../dist/models/adapter.js'
import { openModel } from '../dist/models/open.js'
import { openRuntime } from '../dist/native/runtime.js'
import { packageRoot } from '../dist/paths.js'
import { makeTemplate, openTokenizer } from '../dist/text/index.js'
import { familiesAgree, floats } from './families.mjs'
import { llamaVersion, startLlama } from './llama.mjs'
import { describeMachine } from './machine.mjs'
import { progress } from './progress.mjs'
import { peerPython } from './python.mjs'

const greedy = { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, seed: 0 }

export async function benchExport(options) {
  if (!options.adapter) throw new Error('export needs --adapter FOLDER')
  const machine = describeMachine({ ...options, precision: 'fp32' })
  const folder = mkdtempSync(join(tmpdir(), 'bt-bench-export-'))
  const runtime = await openRuntime({ device: 'cpu', threads: options.threads })
  try {
    const adapter = await readAdapter(options.adapter)
    const base = await openModel(adapter.baseModel)
    const rows = await realRows(base, options)
    const families = await familiesAgree(folder, {
      transformers: byTransformers,
      llama: (path, tiny) => byLlama(path, tiny, { ...options, maxTokens: 256, maxNewTokens: 0 }),
    })
    progress(`families: ${JSON.stringify(families)}`)
    const sameIds = await tokenizersAgree(folder, base, options)
    const unmerged = await compute(runtime, base, rows, options, adapter)
    const results = []
    for (const kind of options.types) {
      const output = join(folder, `${kind.dtype}${kind.to === 'gguf' ? '.gguf' : ''}`)
      const { adapter: merged, threads, data: prompts } = options
      const common = { adapter: merged, threads, device: 'cpu', prompts, rows: Math.min(8, rows.length) }
      const { bytes, seconds, comparison } = await exportModel({ ...kind, ...common, output })
      const read = kind.to === 'gguf' ? await byLlama(output, rows, options) : byTransformers(output, rows)
      const back = await compute(runtime, await openModel(output), rows, options)
      results.push({ ...kind, bytes, seconds, comparison, peer: beside(read, back), change: beside(back, unmerged) })
      progress(`${kind.to} ${kind.dtype}: ${JSON.stringify(results.at(-1).peer)}`)
      rmSync(output, { recursive: true })
    }
    const versions = { 'node-llama-cpp': llamaVersion }
    const about = { machine, model: base.name, versions, rows: rows.length, ...counts(rows, options) }
    return { bench: 'export', ...about, families, sameIds, results }
  } finally {
    await runtime.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

function counts(rows, { maxNewTokens }) {
  return { scored: rows.reduce((sum, { tokens, targetStart }) => sum + tokens.length - targetStart, 0), maxNewTokens }
}

async function realRows(source, { data, rows, maxTokens }) {
  const template = await makeTemplate('backward', await openTokenizer(source.tokenizer), source.tokenizer)
  const pairs = (await loadPairs(data)).rows
  const encoded = []
  for (const pair of pairs) {
    if (encoded.length === rows) break
    const { tokens, targetStart } = await template.encodePair(pair, maxTokens).catch(fitsNot)
    if (tokens) encoded.push({ tokens: [...tokens], targetStart, stopTokens: template.stopTokens })
  }
  return encoded
}

function fitsNot(error) {
  if (error.code !== 'BT_ROW_TOO_LONG') throw error
  return {}
}

const promptsOf = (rows) => rows.map(({ tokens, targetStart }) => tokens.slice(0, targetStart))

/** What bt-native computes in FP32: greedy texts, and log p of each token of the targets. */
async function compute(runtime, { config, files, tensors }, rows, { maxNewTokens, maxTokens }, adapter) {
  const model = await runtime.loadModel({ config, files, tensors, dtype: 'float32' })
  const { r, alpha, rsLora, targets, tensors: matrices } = adapter ?? {}
  const lora =
    adapter && (await model.attachLora({ r, alpha, rsLora, targets, tensors: matrices, dropout: 0, seed: 0 }))
  const scores = []
  for (const { tokens, targetStart } of rows) {
    const batch = packBatch([{ tokens: Int32Array.from(tokens), targetStart }], [0])
    scores.push([...(await model.logProbs(batch, lora))])
  }
  const limits = { maxSequences: 8, maxTokens: maxTokens + maxNewTokens, stopTokens: rows[0].stopTokens }
  const sampler = await model.createSampler({ ...greedy, ...limits }, lora)
  await sampler.add(promptsOf(rows).map((prompt, id) => ({ id, tokens: Int32Array.from(prompt), maxNewTokens })))
  const outputs = []
  for (let left = rows.length; left > 0; ) {
    const { finished } = await sampler.advance(8)
    for (const { id, tokens } of finished) outputs[id] = [...tokens]
    left -= finished.length
  }
  await sampler.close()
  await model.close()
  return { outputs, scores }
}

/** Share of real texts whose ids llama.cpp and bt-native agree on, the vocabulary being that of the exported file. */
async function tokenizersAgree(folder, source, { adapter, data, rows, threads }) {
  const pairs = (await loadPairs(data)).rows.slice(0, rows)
  const texts = pairs.flatMap(({ instruction, response }) => [instruction, response])
  const tokenizer = await openTokenizer(source.tokenizer)
  const common = { adapter, rows: 0, device: 'cpu', to: 'gguf', dtype: 'q4_0' }
  const { output } = await exportModel({ ...common, output: join(folder, 'vocabulary.gguf') })
  const child = startLlama()
  try {
    await child.ask('open', { path: output, threads, contextSize: 32 })
    const { ids } = await child.ask('tokenize', { texts })
    const ours = await Promise.all(texts.map((text) => tokenizer.encodeText(text)))
    return { texts: texts.length, share: ids.filter((one, i) => one.join() === ours[i].join()).length / texts.length }
  } finally {
    await child.stop()
    rmSync(output)
  }
}

async function byLlama(path, rows, { threads, maxTokens, maxNewTokens }) {
  const child = startLlama()
  try {
    await child.ask('open', { path, threads, contextSize: maxTokens + maxNewTokens })
    const { scores } = await child.ask('score', { rows })
    if (maxNewTokens === 0) return { scores }
    const prompts = promptsOf(rows)
    const { outputs } = await child.ask('generate', { prompts, maxNewTokens, stopTokens: rows[0].stopTokens })
    return { scores, outputs }
  } finally {
    await child.stop()
  }
}

/** The folder as transformers loads it, in FP32: log p of each token of the targets. */
function byTransformers(folder, rows) {
  const script = join(packageRoot, 'bench/peers/check_adapter.py')
  const flags = ['--base', folder, '--tokens', '-', '--logits', 'no']
  const input = JSON.stringify(rows.map(({ tokens }) => tokens))
  const env = { ...process.env, HF_HUB_OFFLINE: '1', TRANSFORMERS_VERBOSITY: 'error' }
  const { status, stdout, stderr } = spawnSync(peerPython(), [script, ...flags], { input, env, maxBuffer: 2 ** 30 })
  if (status !== 0) throw new Error(`transformers: ${stderr.toString().trim().split('\n').at(-1)}`)
  const answers = JSON.parse(stdout.toString()).rows
  return {
    scores: answers.map(({ logProbs }, i) => [...floats(logProbs)].slice(rows[i].targetStart - 1)),
  }
}

/** Two readings of the same rows: how far log p is apart, at most and in the mean, and how many texts are the same. */
export function beside(one, other) {
  const differences = one.scores.flatMap((row, i) => row.map((score, j) => Math.abs(score - other.scores[i][j])))
  const mean = (scores) => scores.flat().reduce((sum, score) => sum + score, 0) / scores.flat().length
  const same = one.outputs?.filter((text, i) => text.join() === other.outputs[i].join()).length
  return {
    largest: Math.max(...differences),
    mean: Math.abs(mean(one.scores) - mean(other.scores)),
    ...(same !== undefined && { sameTexts: same / one.outputs.length }),
  }
}
