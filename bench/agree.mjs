// Before anything is timed: the losses of many optimizer steps, bt-native's engines beside the careful PEFT loop.
import { defaultSetting, openContestant, ours } from './contestants.mjs'
import { progress } from './progress.mjs'
import { tokensOf } from './rows.mjs'

const judge = 'careful'

/**
 * The same rows, weights, LoRA initialisation and optimizer for all.
 * @returns { steps, rowsPerStep, tokens, losses, largestDifference } of bt-native's engines to the careful loop
 */
export async function agreement(steps, learningRate, context) {
  const names = [judge, ...context.names.filter((name) => ours.includes(name))]
  const losses = Object.fromEntries(names.map((name) => [name, []]))
  for (const name of names) {
    const runner = await openContestant(name, defaultSetting, context)
    try {
      for (const step of steps) losses[name].push((await runner.step(step, learningRate)).loss)
    } finally {
      await runner.stop()
    }
    progress(`${name}: ${steps.length} losses, ${losses[name][0].toFixed(4)} to ${losses[name].at(-1).toFixed(4)}`)
  }
  return {
    steps: steps.length,
    rowsPerStep: steps[0].rows.length,
    tokens: tokensOf(steps.flatMap(({ rows }) => rows)),
    losses,
    largestDifference: largestDifferences(losses, judge),
  }
}

/** Largest distance of each list of losses to the judge's, step by step; lists without losses are left out. */
export function largestDifferences(losses, judge) {
  const others = Object.keys(losses).filter((name) => name !== judge)
  return Object.fromEntries(
    others.map((name) => [name, Math.max(...losses[name].map((loss, i) => Math.abs(loss - losses[judge][i])))]),
  )
}
