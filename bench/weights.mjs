// `npm run bench -- weights`: what each way of holding weights for generation makes of the log-likelihood of real pairs.
import { resolve } from 'node:path'
import { packBatch } from '../dist/data/index.js'
import { readAdapter } from '../dist/models/adapter.js'
import { openModel } from '../dist/models/open.js'
import { openRuntime } from '../dist/native/runtime.js'
import { describeMachine } from './machine.mjs'
import { progress } from './progress.mjs'
import { chunks, realRows } from './rows.mjs'
import { median } from './statistics.mjs'

/** The first is what the others are compared with. */
const kinds = [
  { title: 'FP32', dtype: 'float32', weights: 'model' },
  { title: 'BF16', dtype: 'bfloat16', weights: 'model' },
  { title: 'int8', dtype: 'bfloat16', weights: 'int8' },
  { title: 'int4', dtype: 'bfloat16', weights: 'int4' },
]
const greedy = { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, seed: 0, stopTokens: [] }

export async function benchWeights({ data, adapter, maxTokens, ...options }) {
  const machine = describeMachine(options)
  const rows = await realRows(data, maxTokens)
  const { config, files, tensors } = await openModel('smollm2-135m')
  const found = adapter && (await readAdapter(resolve(adapter)))
  const measured = []
  for (const { title, dtype, weights } of kinds) {
    const runtime = await openRuntime({ device: 'cpu', threads: machine.threads })
    try {
      const model = await runtime.loadModel({ config, files, tensors, dtype, lazy: true })
      const lora = found && (await model.attachLora({ ...found, dropout: 0, seed: 0 }))
      const sampler = await model.createSampler({ ...greedy, maxSequences: 8, maxTokens, weights }, lora)
      const logProbs = []
      for (const batch of chunks(rows, 8))
        logProbs.push(...(await sampler.logProbs(packBatch(batch, [...batch.keys()]))))
      measured.push({ title, logProbs })
      progress(`${title}: ${(-mean(logProbs)).toFixed(4)} nats a token`)
    } finally {
      await runtime.close()
    }
  }
  const tokens = measured[0].logProbs.length
  return { bench: 'weights', machine, adapter: Boolean(adapter), rows: rows.length, tokens, kinds: compared(measured) }
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length

function compared([truth, ...others]) {
  return [truth, ...others].map(({ title, logProbs }) => {
    const apart = logProbs.map((value, at) => Math.abs(value - truth.logProbs[at]))
    return { title, nats: -mean(logProbs), apart: median(apart), mostApart: apart.reduce((a, b) => Math.max(a, b)) }
  })
}
