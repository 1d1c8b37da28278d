// `npm run bench -- train --scaling`: tokens/s against sequence length, rank and threads, bt-native beside the careful loop.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeMachine } from './machine.mjs'
import { prepareModel } from './models.mjs'
import { progress } from './progress.mjs'
import { evenSteps, randomised, realRows, stepsOf, tokensOf } from './rows.mjs'
import { initialise, learningRate, lora } from './train.mjs'
import { timeInTurn } from './windows.mjs'

/** Tokens of a step against sequence length; a longer row makes a step of its own. */
const tokensPerStep = 4096
/** Tokens that a padded micro-batch of the careful loop holds, about where it is fastest. */
const tokensPerMicroBatch = 1024
const smolVocabulary = 49152

export async function benchScaling(options) {
  const base = describeMachine(options)
  const model = await prepareModel(options.model, base)
  const real = await realRows(options.data, options.maxTokens)
  const rows = model.vocabulary ? randomised(real, model.vocabulary) : real
  const steps = stepsOf(rows, options.windows + 1, { batchSize: 4, gradAccumSteps: 4 })
  const folder = await mkdtemp(join(tmpdir(), 'bt-bench-'))
  const failures = {}
  const names = options.only.filter((name) => ['fused', 'reference', 'careful'].includes(name))

  async function point(value, { machine = base, r = lora.r, some = steps, rows = 2 }) {
    const context = { names, machine, model, steps: some, adapter: join(folder, `adapter-${r}`) }
    await initialise(context.adapter, { ...lora, r, alpha: 2 * r }, context)
    const settings = Object.fromEntries(
      names.map((name) => [name, options.settings[name] ?? { rows, malloc: 'tuned' }]),
    )
    const timed = await timeInTurn(settings, some, learningRate, context)
    for (const [name, message] of Object.entries(timed.failures)) failures[`${name} at ${value}`] = message
    const numbers = (of) =>
      Object.fromEntries(names.map((name) => [name, timed.measured[name] && of(timed.measured[name])]))
    return {
      value,
      tokens: tokensOf(some.flatMap((step) => step.rows)) / some.length,
      rates: numbers(({ tokensPerSecond, spread }) => ({ median: tokensPerSecond, spread })),
      peakBytes: numbers(({ peakBytes }) => peakBytes),
    }
  }

  const curves = {
    'sequence length': {
      words: 'Rows of one length, random ids, an eighth of each scored:',
      values: options.lengths,
      at: (length) => ({
        some: evenSteps({
          length,
          count: options.windows + 1,
          tokensPerStep,
          vocabulary: model.vocabulary ?? smolVocabulary,
        }),
        rows: Math.max(1, Math.floor(tokensPerMicroBatch / length)),
      }),
    },
    rank: { words: 'Real rows, 4 x 4 a step:', values: options.ranks, at: (r) => ({ r }) },
    threads: {
      words: 'Real rows, 4 x 4 a step:',
      values: options.threadCounts,
      at: (threads) => ({ machine: { ...base, threads } }),
    },
  }

  try {
    const measured = {}
    for (const [name, { words, values, at }] of Object.entries(curves)) {
      if (values.length === 0) continue
      const points = []
      for (const value of values) {
        progress(`${name} ${value}`)
        points.push(await point(value, at(value)))
      }
      measured[name] = { words, points }
    }
    return {
      bench: 'scaling',
      machine: base,
      model: { name: model.name, title: model.title },
      lora,
      curves: measured,
      failures,
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}
