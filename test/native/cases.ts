// A series of random models, adapters and batches: every flag, width and length drawn.
import type { LoraOptions, ModelConfig, PackedBatch } from '../../src/native/runtime.js'
import { allTargets } from './gradients.js'
import { raggedBatch, tinyConfig, tinyLora, xorshift } from './tiny.js'

export interface Case {
  name: string
  config: ModelConfig
  lora: LoraOptions
  batches: PackedBatch[]
}

/** Shape `index` of the series: every flag, width and length drawn, heads of 32 and 64 among them. */
function drawCase(index: number): Case {
  const random = xorshift(index + 11)
  for (let i = 0; i < 8; i++) random()
  const pick = <T>(from: T[]): T => from[Math.floor(((random() + 1) / 2) * from.length)]!
  const whether = () => random() > 0
  const kvHeads = pick([1, 2, 3])
  const config: ModelConfig = {
    ...tinyConfig,
    hiddenSize: pick([24, 32, 80]),
    intermediateSize: pick([40, 48, 96]),
    layers: pick([1, 2, 3]),
    kvHeads,
    heads: kvHeads * pick([1, 2, 3]),
    headDim: pick([6, 16, 32, 64]),
    slidingWindow: pick([0, 0, 0, 2, 5, 33]),
    qkNorm: whether(),
    qkvBias: whether(),
    outBias: whether(),
    mlpBias: whether(),
    tieWordEmbeddings: whether(),
  }
  const chosen = allTargets.filter(whether)
  const targets = chosen.length > 0 ? chosen : allTargets
  const dropout = pick([0, 0, 0.3])
  const lora = { ...tinyLora, r: pick([1, 4, 9]), rsLora: whether(), targets, dropout }
  const lengths = () => Array.from({ length: pick([1, 2, 5]) }, () => pick([2, 3, 17, 40, 65, 100]))
  const alike = pick([0, 2, 16, 30])
  const batches = [lengths(), lengths()].map((rows) => raggedBatch(rows, random, alike))
  const flags = (['qkNorm', 'qkvBias', 'outBias', 'mlpBias'] as const).filter((flag) => config[flag])
  const { heads, headDim, slidingWindow } = config
  const shape = `${heads}/${kvHeads} heads of ${headDim}, window ${slidingWindow}, ${flags.join(' ')}`
  return {
    name: `${index}: ${shape}, ${alike} tokens alike, r ${lora.r}, dropout ${dropout}, ${targets.join(' ')}`,
    config,
    lora,
    batches,
  }
}

/** The first `count` of the series. */
export function drawCases(count: number): Case[] {
  return Array.from({ length: count }, (_, index) => drawCase(index))
}
