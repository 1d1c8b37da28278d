// Stops a run in mid-epoch and goes on with it: the same options on the same folder, from the checkpoint that the signal
// left. A process that is killed goes on the same way, from its last checkpoint.
//
//   node examples/resume-training.mjs [DATA] [OUTPUT] [MODEL]
import { train } from 'bt-native'

const [data = 'examples/seed.jsonl', output = 'runs/resumed', model = 'smollm2-135m'] = process.argv.slice(2)
const options = { model, data, output, epochs: 1, samples: 0, saveEvery: 2, keep: 2 }

/** Trains until the run ends, or for so many steps. */
async function sitting(steps = Infinity) {
  const stop = new AbortController()
  for await (const event of train(options, { signal: stop.signal })) {
    if (event.type === 'resumed') console.log(`going on after step ${event.step} of ${event.steps}`)
    if (event.type === 'step') {
      console.log(`step ${event.step}  loss ${event.loss.toFixed(4)}`)
      if (--steps === 0) stop.abort()
    }
    if (event.type === 'interrupted') console.log(`stopped; saved in ${event.checkpoint}`)
    if (event.type === 'finished') console.log(`done: training loss ${event.trainLoss.toFixed(3)}`)
    if (event.type === 'already-finished') console.log(`${output} is finished already`)
  }
}

await sitting(3)
await sitting()
