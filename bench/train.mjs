// Training against the careful PEFT loop: the same ids, weights, LoRA initialisation and optimizer, in one run, in turn.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadPairs, packBatch, planSteps } from '../dist/data/index.js'
import { writeAdapter } from '../dist/models/adapter.js'
import { openModel } from '../dist/models/open.js'
import { coreInfo, openRuntime } from '../dist/native/runtime.js'
import { makeTemplate, openTokenizer } from '../dist/text/index.js'
import { startPeer } from './python.mjs'
import { median, spread } from './statistics.mjs'

const dtypes = { fp32: 'float32', bf16: 'bfloat16' }
const lora = { r: 16, alpha: 32, targets: ['q_proj', 'v_proj'], dropout: 0, seed: 0 }
const adam = { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, maxGradNorm: 1, seed: 0 }

/** Encoded rows of each optimizer step: 4 micro-batches of 4, sorted by length inside the step. */
async function encodeSteps(source, data, count) {
  const tokenizer = await openTokenizer(source.tokenizer)
  const template = await makeTemplate('backward', tokenizer, source.tokenizer)
  const { rows } = await loadPairs(data)
  const wanted = rows.slice(0, count * 16 + 64)
  const encoded = (await Promise.all(wanted.map((row) => template.encodePair(row, 512).catch(() => undefined)))).filter(
    (row) => row !== undefined,
  )
  const lengths = encoded.map(({ tokens }) => tokens.length)
  const steps = planSteps({ lengths, batchSize: 4, gradAccumSteps: 4, seed: 0, epoch: 0 }).slice(0, count)
  return steps.map(({ microBatches }) => microBatches.map((ids) => [...ids].map((id) => ({ id, ...encoded[id] }))))
}

function forPeer(step) {
  return step.map((rows) => rows.map(({ tokens, targetStart }) => ({ tokens: [...tokens], targetStart })))
}

async function openOurs(runtime, model, tensors, precision, engine) {
  const adapter = await model.attachLora({ ...lora, tensors })
  const trainer = await model.createTrainer(adapter, { ...adam, precision, engine })
  return {
    async step(step, number, learningRate) {
      const batches = step.map((rows) =>
        packBatch(
          rows,
          rows.map(({ id }) => id),
        ),
      )
      const result = await trainer.step(batches, { learningRate, step: number })
      return { ...result, seconds: result.milliseconds / 1000, peakBytes: (await runtime.memory()).peakResident }
    },
  }
}

export async function benchTrain({ data, agree, windows, threads, precision }) {
  const info = await coreInfo()
  const chosen = precision ?? (info.avx512Bf16 || info.amxBf16 ? 'bf16' : 'fp32')
  const dtype = dtypes[chosen]
  const learningRate = 1e-3
  const source = await openModel('smollm2-135m')
  const steps = await encodeSteps(source, data, agree + windows)
  const folder = await mkdtemp(join(tmpdir(), 'bt-bench-'))
  const runtime = await openRuntime({ device: 'cpu', threads })
  const peer = startPeer('careful.py')
  try {
    const { config, files, tensors } = source
    const model = await runtime.loadModel({ config, files, tensors, dtype })
    const first = await (await model.attachLora(lora)).tensors()
    await writeAdapter(folder, { baseModel: 'bench', ...lora, tensors: first })
    const runs = {
      fused: await openOurs(runtime, model, first, chosen, 'fused'),
      reference: await openOurs(runtime, model, first, chosen, 'reference'),
      peft: { step: (step) => peer.ask({ step: forPeer(step) }) },
    }
    await peer.ask({ open: { gguf: files[0], adapter: folder, dtype, threads, learningRate } })
    const results = Object.fromEntries(Object.keys(runs).map((name) => [name, []]))
    for (const [index, step] of steps.entries()) {
      for (const [name, run] of Object.entries(runs)) {
        const result = await run.step(step, index + 1, learningRate)
        results[name].push(result)
        const rate = (result.tokens / result.seconds).toFixed(0)
        process.stderr.write(`step ${index + 1} ${name.padEnd(9)} loss ${result.loss.toFixed(5)}  ${rate} tok/s\n`)
      }
    }
    return summarize(results, windows, { precision: chosen, threads, info })
  } finally {
    peer.stop()
    await runtime.close()
    await rm(folder, { recursive: true })
  }
}

function summarize(results, windows, machine) {
  const rate = ({ tokens, seconds }) => tokens / seconds
  const engines = Object.fromEntries(
    Object.entries(results).map(([name, steps]) => {
      const rates = steps.slice(-windows).map(rate)
      const peak = Math.max(...steps.map(({ peakBytes }) => peakBytes))
      return [name, { tokensPerSecond: median(rates), spread: spread(rates), peakBytes: peak }]
    }),
  )
  const ratios = (name) =>
    results[name].slice(-windows).map((step, i) => rate(step) / rate(results.peft.slice(-windows)[i]))
  const lossDifference = (name) =>
    Math.max(...results[name].map(({ loss }, i) => Math.abs(loss - results.peft[i].loss)))
  return {
    machine,
    engines,
    ratioToCareful: { fused: median(ratios('fused')), reference: median(ratios('reference')) },
    largestLossDifference: { fused: lossDifference('fused'), reference: lossDifference('reference') },
    steps: results.peft.length,
    losses: Object.fromEntries(Object.entries(results).map(([name, steps]) => [name, steps.map(({ loss }) => loss)])),
  }
}
