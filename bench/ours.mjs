// bt-native as a child process, with the commands and answers of the peers (peers/serve.py), one engine a process.
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { packBatch } from '../dist/data/index.js'
import { readAdapter, writeAdapter } from '../dist/models/adapter.js'
import { openModel } from '../dist/models/open.js'
import { openRuntime } from '../dist/native/runtime.js'

const adam = { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, maxGradNorm: 1, seed: 0 }

let runtime
let model
let trainer
let sampler
let single
let stepNumber = 0

const commands = {
  /** Loads the base model. */
  async load({ model: reference, dtype, device = 'cpu', threads, lazy }) {
    const source = await openModel(reference)
    const { config, files, tensors } = source
    runtime = await openRuntime({ device, threads })
    model = await runtime.loadModel({ config, files, tensors, dtype, lazy })
    return { parameters: source.parameters }
  },

  /** Writes an adapter in its first state, for all sides to start from. */
  async initialise({ folder, ...lora }) {
    const tensors = await (await model.attachLora(lora)).tensors()
    await writeAdapter(folder, { baseModel: 'bench', ...lora, tensors })
    return {}
  },

  async open({ adapter, precision, engine, ...base }) {
    const answer = await commands.load(base)
    const lora = await model.attachLora({ ...loraOf(await readAdapter(adapter)), seed: 0 })
    trainer = await model.createTrainer(lora, { ...adam, precision, engine })
    return answer
  },

  async step({ microBatches, learningRate }) {
    const started = performance.now()
    const batches = microBatches.map((rows) => packBatch(rows, [...rows.keys()]))
    const { loss, gradNorm, tokens } = await trainer.step(batches, { learningRate, step: ++stepNumber })
    return { loss, gradNorm, tokens, seconds: (performance.now() - started) / 1000 }
  },

  /** Greedy samplers over the base, or over the base with an adapter: one of many sequences, one of a single one. */
  async sampler({ adapter, sequences, maxTokens, stopTokens, weights, ...base }) {
    await commands.load({ ...base, lazy: true })
    const lora = adapter && (await model.attachLora({ ...loraOf(await readAdapter(adapter)), seed: 0 }))
    const greedy = { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, seed: 0, maxTokens, weights }
    sampler = await model.createSampler({ ...greedy, maxSequences: sequences, stopTokens }, lora)
    const { weights: weightBytes } = await runtime.memory()
    single = await model.createSampler({ ...greedy, maxSequences: 1, stopTokens: [], lookup: 0 }, lora)
    return { weightBytes }
  },

  /** One sequence: tokens/s of its prompt, and of `newTokens` tokens after it. */
  async speed({ prompt, newTokens }) {
    await single.add([{ id: 0, tokens: Int32Array.from(prompt), maxNewTokens: newTokens + 1 }])
    const first = await single.advance(1)
    const rest = await single.advance(newTokens)
    return { prefill: first.computed / (first.milliseconds / 1000), decode: newTokens / (rest.milliseconds / 1000) }
  },

  async bandwidth() {
    return { gigabytesPerSecond: await runtime.measureBandwidth() }
  },

  async generate({ prompts, maxNewTokens }) {
    const started = performance.now()
    await sampler.add(prompts.map((tokens, id) => ({ id, tokens: Int32Array.from(tokens), maxNewTokens })))
    const outputs = []
    for (let left = prompts.length; left > 0; ) {
      const { finished } = await sampler.advance(8)
      for (const { id, tokens } of finished) outputs[id] = [...tokens]
      left -= finished.length
    }
    return { outputs, seconds: (performance.now() - started) / 1000 }
  },
}

function loraOf({ r, alpha, rsLora, targets, tensors }) {
  return { r, alpha, rsLora, targets, tensors, dropout: 0 }
}

async function peakBytes() {
  if (runtime?.device === 'cuda') return (await runtime.memory()).devicePeak
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024
}

for await (const line of createInterface({ input: process.stdin })) {
  const [[name, options]] = Object.entries(JSON.parse(line))
  const answer = await commands[name](options).catch((error) => ({ error: `${error.code ?? ''} ${error.message}` }))
  process.stdout.write(`${JSON.stringify({ ...answer, peakBytes: await peakBytes() })}\n`)
}
await runtime?.close()
