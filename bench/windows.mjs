// Timing in turn: every contestant in a process of its own, all open at once, one optimizer step each, round after round.
import { openContestant } from './contestants.mjs'
import { perSecond, progress } from './progress.mjs'
import { median, spread } from './statistics.mjs'

/**
 * The first step warms up (and compiles); the same step again tells what that cost. Each step after it is a window.
 * A contestant that fails is named in `failures` with its error, and the others go on.
 * @param settings { name: setting }
 * @returns { measured: { name: {...} }, failures: { name: message } }
 */
export async function timeInTurn(settings, steps, learningRate, context) {
  const failures = {}
  const runners = []
  const results = {}
  const attempt = async (name, work) => {
    if (failures[name]) return
    try {
      await work()
    } catch (error) {
      failures[name] = error.message
      progress(`${name} failed: ${error.message}`)
    }
  }
  try {
    for (const [name, setting] of Object.entries(settings)) {
      await attempt(name, async () => {
        const runner = await openContestant(name, setting, context)
        runners.push(runner)
        const first = await runner.step(steps[0], learningRate)
        const again = await runner.step(steps[0], learningRate)
        const warmUpSeconds = Math.max(0, first.seconds - again.seconds)
        results[name] = { opened: runner.opened, warmUpSeconds, losses: [first.loss, again.loss], windows: [] }
        progress(`${name}: open in ${runner.opened.openSeconds.toFixed(1)} s, warm after ${first.seconds.toFixed(1)} s`)
      })
    }
    for (const [index, step] of steps.slice(1).entries()) {
      for (const runner of runners) {
        await attempt(runner.name, async () => {
          const { loss, tokens, seconds, peakBytes } = await runner.step(step, learningRate)
          results[runner.name].windows.push({ tokens, seconds, peakBytes })
          results[runner.name].losses.push(loss)
          progress(
            `window ${index + 1}  ${runner.name.padEnd(10)} loss ${loss.toFixed(4)}  ${perSecond(tokens / seconds)}`,
          )
        })
      }
    }
  } finally {
    for (const runner of runners) await runner.stop()
  }
  const finished = Object.entries(results).filter(([name]) => !failures[name])
  return { measured: Object.fromEntries(finished.map(([name, one]) => [name, inNumbers(one)])), failures }
}

function inNumbers({ opened, warmUpSeconds, losses, windows }) {
  const rates = windows.map(({ tokens, seconds }) => tokens / seconds)
  return {
    tokensPerSecond: median(rates),
    spread: spread(rates),
    rates,
    peakBytes: Math.max(...windows.map(({ peakBytes }) => peakBytes)),
    openSeconds: opened.openSeconds,
    warmUpSeconds,
    versions: opened.versions,
    losses,
  }
}

/** Median over the windows of one contestant's rate over another's in the same round. */
export function ratio(one, other) {
  return median(one.rates.map((rate, round) => rate / other.rates[round]))
}
