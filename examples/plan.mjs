// What a training run would take, told before anything is loaded: memory by part, the ways to cut a step into batches, and
// the most rows at a time that fit into a device of so many gigabytes.
//
//   node examples/plan.mjs [GIGABYTES] [DATA] [MODEL]
import { planTraining } from 'bt-native'

const [size = '2', data = 'examples/seed.jsonl', model = 'smollm2-135m'] = process.argv.slice(2)

const gigabytes = Number(size)
const options = { model, data, batchSize: 16, gradAccumSteps: 1 }
const plan = await planTraining(options, { memory: gigabytes * 1e9 })

const megabytes = (bytes) => `${Math.round(bytes / 1e6)} MB`
for (const [part, bytes] of Object.entries(plan.memory)) console.log(part.padEnd(12), megabytes(bytes).padStart(8))
for (const { batchSize, recompute, memory, fits } of plan.splits) {
  const how = `${batchSize} rows at a time${recompute ? ', recomputed' : ''}`
  console.log(how.padEnd(32), megabytes(memory).padStart(8), fits ? '' : 'too much')
}
if (plan.largest) {
  const { batchSize, gradAccumSteps, recompute } = plan.largest
  // train({ ...options, batchSize, gradAccumSteps, recompute }) makes the same steps in the memory that there is.
  console.log(`fits into ${gigabytes} GB:`, JSON.stringify({ batchSize, gradAccumSteps, recompute }))
} else {
  console.log(`nothing fits into ${gigabytes} GB`)
}
if (plan.time)
  console.log(`about ${plan.time.secondsPerStep.toFixed(1)} s a step, by a ${plan.time.basis} that was timed`)
