// `npm run bench -- generate`: greedy answers to the same prompts, rows/s, and one sequence's tokens/s: bt-native beside
// transformers' generate() and node-llama-cpp at the same bits, in turn, with the memory bandwidth that bounds decoding.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { loadPairs } from '../dist/data/index.js'
import { exportModel } from '../dist/index.js'
import { openModel } from '../dist/models/open.js'
import { makeTemplate, openTokenizer } from '../dist/text/index.js'
import { contestants } from './contestants.mjs'
import { llamaVersion, startLlama } from './llama.mjs'
import { describeMachine } from './machine.mjs'
import { prepareModel } from './models.mjs'
import { perSecond, progress } from './progress.mjs'
import { startPeer } from './python.mjs'
import { chunks } from './rows.mjs'
import { median, spread } from './statistics.mjs'

/** Sequences that bt-native decodes side by side: the default of `bt-native generate`. */
const sequences = 16
/** Those of node-llama-cpp. */
const llamaSequences = 8

/** Who may take part. start() gives { generate(prompts), speed(prompt), stop(), batch, weightBytes, versions }. */
const parties = {
  ours: { title: 'bt-native', start: (context) => startOurs(context) },
  'ours-int8': { title: 'bt-native, 8 bits', start: (context) => startOurs(context, 'int8') },
  transformers: { title: 'transformers generate, sorted by length', start: startTransformers },
  'llama-f16': { title: 'node-llama-cpp, F16', start: (context) => startGguf(context, 'f16') },
  'llama-q8_0': { title: 'node-llama-cpp, Q8_0', start: (context) => startGguf(context, 'q8_0') },
}

export async function benchGenerate(options) {
  const unknown = options.contestants.find((name) => !Object.hasOwn(parties, name))
  if (unknown) throw new Error(`--contestants ${unknown}: one of ${Object.keys(parties).join(', ')}`)
  const machine = describeMachine(options)
  const model = await prepareModel('smollm2-135m', machine)
  const { windows, stopTokens } = await promptWindows(options)
  const folder = mkdtempSync(join(tmpdir(), 'bt-bench-generate-'))
  const adapter = options.adapter && resolve(options.adapter)
  const context = { ...options, adapter, machine, model, windows, stopTokens, folder }
  const running = {}
  try {
    for (const name of options.contestants) running[name] = await parties[name].start(context)
    const measured = await inTurn(running, context)
    const numbers = Object.fromEntries(
      Object.entries(measured).map(([name, one]) => [name, inNumbers(name, running[name], one)]),
    )
    return {
      bench: 'generate',
      machine,
      model: { name: model.name, title: model.title },
      adapter: adapter !== undefined,
      rows: options.rows,
      maxNewTokens: options.maxNewTokens,
      versions: { ...running.transformers?.versions, 'node-llama-cpp': llamaVersion },
      sweep: running.transformers?.tried,
      contestants: numbers,
      identical: identicalShares(measured),
      bandwidth: running.ours && limits(measured, running),
      ...ratios(measured),
    }
  } finally {
    for (const one of Object.values(running)) await one.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function startOurs({ adapter, stopTokens, machine, model, maxTokens, maxNewTokens, newTokens }, weights) {
  const child = contestants.fused.start()
  const { dtype, threads } = machine
  const common = { model: model.ours, adapter, stopTokens, dtype, threads }
  const room = maxTokens + Math.max(maxNewTokens, newTokens + 1)
  const { weightBytes } = await child.ask('sampler', { ...common, sequences, maxTokens: room, weights })
  return {
    batch: sequences,
    weightBytes,
    generate: (prompts) => child.ask('generate', { prompts, maxNewTokens }),
    speed: (prompt) => child.ask('speed', { prompt, newTokens }),
    bandwidth: () => child.ask('bandwidth', {}),
    stop: child.stop,
  }
}

async function startTransformers({ adapter, stopTokens, machine, model, windows, ...options }) {
  const { dtype, threads } = machine
  const child = startPeer('generating.py', { malloc: 'tuned', threads })
  const { versions } = await child.ask('open', { model: model.peers, adapter, stopTokens, dtype, threads })
  const { tried, best } = await bestBatch(child, windows[0], options)
  const { maxNewTokens, newTokens } = options
  return {
    batch: best,
    versions,
    tried,
    generate: (prompts) => child.ask('generate', { prompts, maxNewTokens, batch: best }),
    speed: (prompt) => child.ask('speed', { prompt, newTokens }),
    stop: child.stop,
  }
}

async function startGguf({ adapter, stopTokens, machine, folder, maxTokens, maxNewTokens, newTokens }, dtype) {
  const output = join(folder, `${dtype}.gguf`)
  const merged = adapter ?? (await idleAdapter(folder, machine))
  await exportModel({ adapter: merged, to: 'gguf', dtype, output, rows: 0, device: 'cpu' })
  const child = startLlama()
  const contextSize = maxTokens + Math.max(maxNewTokens, newTokens + 1)
  await child.ask('openFast', { path: output, threads: machine.threads, contextSize, sequences: llamaSequences })
  return {
    batch: llamaSequences,
    generate: (prompts) => child.ask('answer', { prompts, maxNewTokens, stopTokens }),
    speed: (prompt) => child.ask('speed', { prompt, newTokens }),
    stop: child.stop,
  }
}

/** One that changes nothing: what is exported is the base. */
async function idleAdapter(folder, { threads, dtype }) {
  const child = contestants.fused.start()
  const path = join(folder, 'idle')
  try {
    await child.ask('load', { model: 'smollm2-135m', dtype, threads, lazy: true })
    const lora = { r: 1, alpha: 1, rsLora: false, targets: ['q_proj'], dropout: 0, seed: 0 }
    await child.ask('initialise', { folder: path, baseModel: 'smollm2-135m', ...lora })
    return path
  } finally {
    await child.stop()
  }
}

/** Prompts of the backward task, other ones for each window; the first window warms up. */
async function promptWindows({ data, rows, windows, maxTokens }) {
  const { tokenizer: source } = await openModel('smollm2-135m')
  const template = await makeTemplate('backward', await openTokenizer(source), source)
  const pairs = (await loadPairs(data)).rows
  const wanted = Array.from({ length: rows * (windows + 1) }, (_, i) => pairs[i % pairs.length])
  const prompts = await Promise.all(wanted.map(({ response }) => template.encodePrompt(response, maxTokens)))
  return {
    windows: chunks(
      prompts.map(({ tokens }) => [...tokens]),
      rows,
    ),
    stopTokens: template.stopTokens,
  }
}

/** Sequences side by side that transformers is fastest with. */
async function bestBatch(peer, prompts, { batchSizes, maxNewTokens }) {
  const tried = []
  for (const batch of batchSizes) {
    const { seconds } = await peer.ask('generate', { prompts, maxNewTokens, batch })
    tried.push({ batch, rowsPerSecond: prompts.length / seconds })
    progress(`transformers: ${batch} side by side: ${perSecond(prompts.length / seconds, 'rows')}`)
  }
  return { tried, best: tried.reduce((a, b) => (b.rowsPerSecond > a.rowsPerSecond ? b : a)).batch }
}

/** Each window by everyone in turn, and one sequence by everyone in turn. The first round warms up. */
async function inTurn(running, { windows }) {
  const measured = Object.fromEntries(
    Object.keys(running).map((name) => [name, { answers: [], speeds: [], bandwidths: [] }]),
  )
  for (const [index, prompts] of windows.entries()) {
    for (const [name, one] of Object.entries(running)) {
      const answer = await one.generate(prompts)
      // Of about the usual length, another one in each round.
      const speed = await one.speed(prompts.toSorted((a, b) => a.length - b.length)[Math.ceil(prompts.length / 2)])
      const bandwidth = await one.bandwidth?.()
      progress(
        `window ${index}  ${name.padEnd(12)} ${perSecond(prompts.length / answer.seconds, 'rows')}  ` +
          `one sequence: prompt ${perSecond(speed.prefill, 'tokens')}, then ${perSecond(speed.decode, 'tokens')}`,
      )
      if (index === 0) continue
      measured[name].answers.push(answer)
      measured[name].speeds.push(speed)
      if (bandwidth) measured[name].bandwidths.push(bandwidth.gigabytesPerSecond)
    }
  }
  return measured
}

const rowRates = ({ answers }) => answers.map(({ outputs, seconds }) => outputs.length / seconds)
const speedsOf = ({ speeds }, kind) => speeds.map((speed) => speed[kind])

function inNumbers(name, { batch, weightBytes }, one) {
  const rates = rowRates(one)
  const [prefill, decode] = [speedsOf(one, 'prefill'), speedsOf(one, 'decode')]
  return {
    title: parties[name].title,
    batch,
    weightBytes,
    rowsPerSecond: median(rates),
    spread: spread(rates),
    rates,
    newTokensPerSecond: median(one.answers.map(({ outputs, seconds }) => outputs.flat().length / seconds)),
    prefill: { median: median(prefill), spread: spread(prefill), rates: prefill },
    decode: { median: median(decode), spread: spread(decode), rates: decode },
    peakBytes: Math.max(...one.answers.map(({ peakBytes }) => peakBytes)),
  }
}

/** Medians over the rounds of what one side has over another. */
function ratios(measured) {
  const over = (one, other, rates) => {
    if (!measured[one] || !measured[other]) return undefined
    const [mine, theirs] = [rates(measured[one]), rates(measured[other])]
    return median(mine.map((rate, i) => rate / theirs[i]))
  }
  const decode = (one) => speedsOf(one, 'decode')
  const prefill = (one) => speedsOf(one, 'prefill')
  return {
    rowsPerSecondVsTransformers: over('ours', 'transformers', rowRates),
    rowsPerSecondVsLlamaCpp: over('ours', 'llama-f16', rowRates),
    rowsPerSecondVsLlamaCppQ8: over('ours-int8', 'llama-q8_0', rowRates),
    decodeVsLlamaCpp: over('ours', 'llama-f16', decode),
    decodeVsLlamaCppQ8: over('ours-int8', 'llama-q8_0', decode),
    decodeVsTransformers: over('ours', 'transformers', decode),
    prefillVsLlamaCpp: over('ours', 'llama-f16', prefill),
    prefillVsLlamaCppQ8: over('ours-int8', 'llama-q8_0', prefill),
    prefillVsTransformers: over('ours', 'transformers', prefill),
  }
}

/** What decoding reads of weights a second, beside how fast memory can be read. */
function limits(measured, running) {
  const gigabytesPerSecond = median(measured.ours.bandwidths)
  const shares = {}
  for (const name of ['ours', 'ours-int8']) {
    if (!measured[name]) continue
    const { weightBytes } = running[name]
    const read = (median(speedsOf(measured[name], 'decode')) * weightBytes) / 1e9
    shares[name] = { bytesPerToken: weightBytes, gigabytesPerSecond: read, share: read / gigabytesPerSecond }
  }
  return { gigabytesPerSecond, shares }
}

/** Share of prompts whose outputs are bt-native's, token by token. */
function identicalShares(measured) {
  if (!measured.ours) return {}
  const texts = ({ answers }) => answers.flatMap(({ outputs }) => outputs.map((tokens) => tokens.join()))
  const ours = texts(measured.ours)
  const share = (other) => texts(other).filter((text, i) => text === ours[i]).length / ours.length
  const others = Object.entries(measured).filter(([name]) => name !== 'ours')
  return Object.fromEntries(others.map(([name, one]) => [name, share(one)]))
}
