// The fastest setting of a peer: rows of a micro-batch, and malloc as it comes or tuned, tried on one step.
import { contestants, defaultSetting, openContestant } from './contestants.mjs'
import { perSecond, progress } from './progress.mjs'

/** A larger micro-batch is not tried when one was slower than the best by this factor: larger ones only pad more. */
const hopeless = 1.25

/** @returns { best: setting, tried: [{ rows, malloc, tokensPerSecond }] } */
export async function sweep(name, step, learningRate, context) {
  const { rows, malloc } = contestants[name].settings ?? { rows: [defaultSetting.rows], malloc: ['default'] }
  if (rows.length * malloc.length === 1) return { best: { rows: rows[0], malloc: malloc[0] }, tried: [] }
  const tried = []
  for (const allocator of malloc) tried.push(...(await tryRows(name, rows, allocator, { step, learningRate, context })))
  const { tokensPerSecond: _, ...best } = tried.reduce((a, b) => (b.tokensPerSecond > a.tokensPerSecond ? b : a))
  return { best, tried }
}

/** All numbers of rows in one process: the first step of each is its warm-up. */
async function tryRows(name, choices, malloc, { step, learningRate, context }) {
  const tried = []
  let best = 0
  let runner = await openContestant(name, { rows: choices[0], malloc }, context)
  try {
    for (const rows of choices) {
      const smallerFailed = tried.some((one) => one.rows > choices[0] && one.tokensPerSecond * hopeless < best)
      if (smallerFailed && rows > choices[0]) continue
      if (contestants[name].reopens && rows !== choices[0]) {
        await runner.stop()
        runner = await openContestant(name, { rows, malloc }, context)
      }
      const tokensPerSecond = await secondStep(runner, { rows, malloc }, step, learningRate)
      progress(`${name}: ${rows} rows, ${malloc} malloc: ${perSecond(tokensPerSecond)}`)
      best = Math.max(best, tokensPerSecond)
      tried.push({ rows, malloc, tokensPerSecond })
    }
  } finally {
    await runner.stop()
  }
  return tried
}

async function secondStep(runner, setting, step, learningRate) {
  await runner.step(step, learningRate, setting)
  const { tokens, seconds } = await runner.step(step, learningRate, setting)
  return tokens / seconds
}
