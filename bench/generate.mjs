// `npm run bench -- generate`: greedy answers to the same prompts, bt-native's sampler beside transformers' generate().
import { resolve } from 'node:path'
import { loadPairs } from '../dist/data/index.js'
import { openModel } from '../dist/models/open.js'
import { makeTemplate, openTokenizer } from '../dist/text/index.js'
import { contestants } from './contestants.mjs'
import { describeMachine } from './machine.mjs'
import { prepareModel } from './models.mjs'
import { perSecond, progress } from './progress.mjs'
import { startPeer } from './python.mjs'
import { chunks } from './rows.mjs'
import { median, spread } from './statistics.mjs'

/** Sequences that bt-native decodes side by side: the default of `bt-native generate`. */
const sequences = 16

export async function benchGenerate(options) {
  const machine = describeMachine(options)
  const model = await prepareModel('smollm2-135m', machine)
  const { windows, stopTokens } = await promptWindows(options)
  const adapter = options.adapter && resolve(options.adapter)
  const common = { adapter, stopTokens, dtype: machine.dtype, threads: machine.threads }
  const ours = contestants.fused.start()
  const peer = startPeer('generating.py', { malloc: 'tuned', threads: machine.threads })
  try {
    await ours.ask('sampler', {
      model: model.ours,
      sequences,
      maxTokens: options.maxTokens + options.maxNewTokens,
      ...common,
    })
    const { versions } = await peer.ask('open', { model: model.peers, ...common })
    const { maxNewTokens } = options
    const batches = await bestBatch(peer, windows[0], options)
    const runs = {
      ours: (prompts) => ours.ask('generate', { prompts, maxNewTokens }),
      transformers: (prompts) => peer.ask('generate', { prompts, maxNewTokens, batch: batches.best }),
    }
    const results = await inTurn(runs, windows)
    const rates = (name) => results[name].map(({ outputs, seconds }) => outputs.length / seconds)
    return {
      bench: 'generate',
      machine,
      model: { name: model.name, title: model.title },
      adapter: adapter !== undefined,
      rows: options.rows,
      maxNewTokens,
      versions,
      sweep: batches.tried,
      contestants: {
        ours: inNumbers('bt-native', results.ours, sequences),
        transformers: inNumbers('transformers generate, sorted by length', results.transformers, batches.best),
      },
      identical: { transformers: identicalShare(results.ours, results.transformers) },
      ratio: median(rates('ours').map((rate, i) => rate / rates('transformers')[i])),
    }
  } finally {
    await ours.stop()
    await peer.stop()
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

async function inTurn(runs, windows) {
  const results = Object.fromEntries(Object.keys(runs).map((name) => [name, []]))
  for (const [index, prompts] of windows.entries()) {
    for (const [name, run] of Object.entries(runs)) {
      const answer = await run(prompts)
      if (index > 0) results[name].push(answer)
      progress(`window ${index}  ${name.padEnd(12)} ${perSecond(prompts.length / answer.seconds, 'rows')}`)
    }
  }
  return results
}

function inNumbers(title, results, batch) {
  const rates = results.map(({ outputs, seconds }) => outputs.length / seconds)
  const tokenRates = results.map(({ outputs, seconds }) => outputs.flat().length / seconds)
  return {
    title,
    batch,
    rowsPerSecond: median(rates),
    spread: spread(rates),
    rates,
    newTokensPerSecond: median(tokenRates),
    peakBytes: Math.max(...results.map(({ peakBytes }) => peakBytes)),
  }
}

/** Share of prompts whose outputs are the same, token by token. */
function identicalShare(one, other) {
  const texts = (results) => results.flatMap(({ outputs }) => outputs.map((tokens) => tokens.join()))
  const [left, right] = [texts(one), texts(other)]
  return left.filter((text, i) => text === right[i]).length / left.length
}
