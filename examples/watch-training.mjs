// Watches a training run from a program: events as they come, a way to stop it, and the report at the end.
//
//   node examples/watch-training.mjs [DATA] [OUTPUT] [MODEL]
//
// Ctrl-C finishes the step under way and saves; the same command then goes on from there.
import { train, trainReport } from 'bt-native'

const [data = 'examples/seed.jsonl', output = 'runs/watched', model = 'smollm2-135m'] = process.argv.slice(2)

const stop = new AbortController()
process.once('SIGINT', () => stop.abort())

/** Rows of steps that stood out: worth a look. */
const suspects = new Set()
const options = { model, data, output, epochs: 1, samples: 2, tensorboard: true }
for await (const event of train(options, { signal: stop.signal })) {
  switch (event.type) {
    case 'plan':
      console.log(`${event.steps} steps of ${Math.round(event.tokensPerStep)} tokens`)
      break
    case 'step':
      console.log(`step ${event.step}  loss ${event.loss.toFixed(3)}  |g| ${event.gradNorm.toFixed(2)}`)
      break
    case 'validation':
      console.log(`validation after step ${event.step}: ${event.loss.toFixed(3)}`)
      break
    case 'samples':
      for (const { prediction, reference } of event.samples) console.log(`  wrote "${prediction}", true "${reference}"`)
      break
    case 'warning':
      console.warn(event.message)
      for (const row of event.rows ?? []) suspects.add(row)
      if (suspects.size > 500) stop.abort() // something is wrong with more than a few rows
      break
    case 'interrupted':
      console.log(`stopped after step ${event.step}; saved in ${event.checkpoint}`)
      break
    case 'finished':
    case 'already-finished':
      console.log(`training loss ${event.trainLoss.toFixed(3)}, ${event.spikes} steps stood out`)
  }
}

const { path, report } = await trainReport(output)
console.log(`${report.steps.length} steps in ${path}`)
