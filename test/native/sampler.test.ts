// What a row gets from the sampler: the model's distribution, cut as asked, whatever stands beside the row.
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Finished, Model, Runtime, SamplerOptions } from '../../src/native/runtime.js'
import { openRuntime } from '../../src/native/runtime.js'
import { tinyConfig, tinyModel, tinySampler } from './tiny.js'

let runtime: Runtime
let model: Model
beforeAll(async () => {
  runtime = await openRuntime({ device: 'cpu', threads: 1 })
  model = await runtime.loadModel(tinyModel())
})
afterAll(() => runtime?.close())

const promptOf = (id: number) => Int32Array.from({ length: 3 + (id % 9) }, (_, at) => (id * 7 + at * 5 + 1) % 64)

/** Runs every prompt to its end. */
async function sample(options: Partial<SamplerOptions>, ids: number[], tokens = promptOf, maxNewTokens = 12) {
  const sampler = await model.createSampler({ ...tinySampler, ...options })
  await sampler.add(ids.map((id) => ({ id, tokens: tokens(id), maxNewTokens })))
  const finished: Finished[] = []
  for (let left = 1; left > 0; ) {
    const result = await sampler.advance(3)
    finished.push(...result.finished)
    left = result.active + result.waiting
  }
  await sampler.close()
  return new Map(finished.map((row) => [row.id, row]))
}

/** p of the token after `tokens`, by the model's own scores. */
async function distribution(tokens: Int32Array): Promise<number[]> {
  const batch = { cuSeqlens: Int32Array.of(0, tokens.length + 1), rows: Int32Array.of(0) }
  const withNext = Int32Array.from([...tokens, 0])
  const logits = await model.logits({ ...batch, tokens: withNext, scored: Int32Array.of(tokens.length) })
  return softmax([...logits])
}

function softmax(logits: number[], temperature = 1): number[] {
  const highest = Math.max(...logits)
  const powers = logits.map((logit) => Math.exp((logit - highest) / temperature))
  const sum = powers.reduce((a, b) => a + b, 0)
  return powers.map((power) => power / sum)
}

// Rounded to the model's type, several candidates are equal where one was the best.
test.each([
  ['bfloat16', 0xffff],
  ['float16', 0x1fff],
] as const)('the logits of a %s model keep the bits of their FP32 sums', async (dtype, below) => {
  const half = await runtime.loadModel({ ...tinyModel(), dtype })
  const tokens = Int32Array.of(1, 2, 3, 4)
  const batch = { tokens, cuSeqlens: Int32Array.of(0, 4), rows: Int32Array.of(0), scored: Int32Array.of(1, 2, 3) }
  const bits = new Uint32Array((await half.logits(batch)).buffer)
  const kept = bits.filter((value) => (value & below) !== 0).length
  expect(kept / bits.length).toBeGreaterThan(0.9)
  // A log-probability is made of them, too.
  const logits = await half.logits(batch)
  const vocab = logits.length / 3
  const expected = [2, 3, 4].map((token, at) => {
    const row = logits.subarray(at * vocab, (at + 1) * vocab)
    return Math.log(softmax([...row])[token]!)
  })
  const found = await half.logProbs(batch)
  for (const [at, value] of expected.entries()) expect(found[at]).toBeCloseTo(value, 4)
  await half.close()
})

describe('a sampled row', () => {
  const sampling = { temperature: 1, topP: 0.95, seed: 5 }

  test('is the same alone, in a batch, in another order and with other slots', async () => {
    const ids = Array.from({ length: 12 }, (_, index) => index + 1)
    const together = await sample({ ...sampling, maxSequences: 4 }, ids)
    const reversed = await sample({ ...sampling, maxSequences: 7 }, ids.toReversed())
    expect(together.size).toBe(12)
    for (const id of ids) {
      const alone = (await sample({ ...sampling, maxSequences: 1 }, [id])).get(id)!
      expect(together.get(id)!.tokens).toEqual(alone.tokens)
      expect(reversed.get(id)!.tokens).toEqual(alone.tokens)
    }
  })

  test('changes with the seed and with its id', async () => {
    const same = () => promptOf(1)
    const rows = await sample(sampling, [1, 2, 3, 4], same)
    expect(new Set([...rows.values()].map(({ tokens }) => tokens.join())).size).toBe(4)
    expect((await sample({ ...sampling, seed: 6 }, [1], same)).get(1)!.tokens).not.toEqual(rows.get(1)!.tokens)
  })

  test('ends at a stop token, which it does not hold, or at its length', async () => {
    const free = (await sample({}, [1])).get(1)!
    expect(free).toMatchObject({ reason: 'length' })
    expect(free.tokens).toHaveLength(12)
    const stop = free.tokens[4]!
    const first = free.tokens.indexOf(stop)
    const stopped = (await sample({ stopTokens: [stop] }, [1])).get(1)!
    expect(stopped.reason).toBe('stop')
    expect(stopped.tokens).toEqual(free.tokens.slice(0, first))
    expect(stopped.logProbs).toHaveLength(first + 1)
  })

  test('carries the log-probabilities of the untempered model', async () => {
    const row = (await sample({ temperature: 0.3, topK: 3, seed: 2 }, [1])).get(1)!
    const p = await distribution(promptOf(1))
    expect(row.logProbs[0]).toBeCloseTo(Math.log(p[row.tokens[0]!]!), 4)
  })
})

describe('the first token of many rows with one prompt', () => {
  const rows = 4000
  const ids = Array.from({ length: rows }, (_, index) => index)
  const count = async (options: Partial<SamplerOptions>) => {
    const drawn = await sample({ maxSequences: 64, seed: 9, ...options }, ids, () => promptOf(2), 1)
    const counts = new Array<number>(tinyConfig.vocabSize).fill(0)
    for (const { tokens } of drawn.values()) counts[tokens[0]!]!++
    return counts
  }
  /** Pearson's statistic over tokens expected at least five times, against its mean plus five standard deviations. */
  const expectDrawnFrom = (counts: number[], p: number[]) => {
    let statistic = 0
    let cells = 0
    for (const [token, share] of p.entries()) {
      if (share === 0) expect(counts[token]).toBe(0)
      if (share * rows < 5) continue
      statistic += (counts[token]! - share * rows) ** 2 / (share * rows)
      cells++
    }
    expect(cells).toBeGreaterThan(1)
    expect(statistic).toBeLessThan(cells + 5 * Math.sqrt(2 * cells))
  }
  const keepBest = (p: number[], keep: (sorted: number[]) => number) => {
    const sorted = p.toSorted((a, b) => b - a)
    const least = sorted[keep(sorted) - 1]!
    const kept = p.map((share) => (share >= least ? share : 0))
    const mass = kept.reduce((a, b) => a + b, 0)
    return kept.map((share) => share / mass)
  }
  const tempered = async (temperature: number) =>
    softmax(
      (await distribution(promptOf(2))).map((share) => Math.log(share)),
      temperature,
    )

  test('follows the model', async () => {
    expectDrawnFrom(await count({ temperature: 1 }), await tempered(1))
  })
  test('follows the tempered model, cut to the best k', async () => {
    expectDrawnFrom(
      await count({ temperature: 1.5, topK: 6 }),
      keepBest(await tempered(1.5), () => 6),
    )
  })
  test('follows the smallest nucleus that reaches p', async () => {
    const reach = (sorted: number[]) => {
      let mass = 0
      return (
        sorted.findIndex((share) => {
          mass += share
          return mass >= 0.6
        }) + 1
      )
    }
    expectDrawnFrom(await count({ temperature: 1, topP: 0.6 }), keepBest(await tempered(1), reach))
  })
  test('holds no token below min-p times the best', async () => {
    const p = await tempered(1)
    const kept = keepBest(p, (sorted) => sorted.findLastIndex((share) => share >= 0.2 * sorted[0]!) + 1)
    expectDrawnFrom(await count({ temperature: 1, minP: 0.2 }), kept)
  })
  test('holds the most typical tokens alone', async () => {
    const p = await tempered(1)
    const entropy = -p.reduce((sum, share) => sum + share * Math.log(share), 0)
    const distance = p.map((share) => Math.abs(-Math.log(share) - entropy))
    const order = [...p.keys()].sort((a, b) => distance[a]! - distance[b]!)
    let mass = 0
    const kept = new Set<number>()
    for (const token of order) {
      if (mass >= 0.5) break
      kept.add(token)
      mass += p[token]!
    }
    expect(kept.size).toBeLessThan(p.length / 2)
    expectDrawnFrom(
      await count({ temperature: 1, typicalP: 0.5 }),
      p.map((share, token) => (kept.has(token) ? share / mass : 0)),
    )
  })
  test('follows biased logits, without what would come a second time', async () => {
    const prompt = [...promptOf(2)]
    const logits = (await distribution(promptOf(2))).map((share) => Math.log(share))
    const best = logits.indexOf(Math.max(...logits))
    logits[best]! -= 2
    logits[7]! += 3
    for (const token of prompt) logits[token] = Number.NEGATIVE_INFINITY
    const logitBias = [
      { token: best, bias: -2 },
      { token: 7, bias: 3 },
    ]
    expectDrawnFrom(await count({ temperature: 1, noRepeatNgram: 1, logitBias }), softmax(logits))
  })
  test('is the best one at a temperature near zero', async () => {
    const best = (await sample({}, [0], () => promptOf(2), 1)).get(0)!.tokens[0]!
    expect((await count({ temperature: 1e-40 }))[best]).toBe(rows)
  })
})

test('a repetition penalty divides positive and multiplies negative logits of what was seen', async () => {
  const prompt = promptOf(3)
  const batch = { cuSeqlens: Int32Array.of(0, prompt.length + 1), rows: Int32Array.of(0) }
  const tokens = Int32Array.from([...prompt, 0])
  const logits = await model.logits({ ...batch, tokens, scored: Int32Array.of(prompt.length) })
  const penalized = logits.map((logit, token) => (prompt.includes(token) ? (logit < 0 ? logit * 5 : logit / 5) : logit))
  const best = penalized.indexOf(Math.max(...penalized))
  expect((await sample({ repetitionPenalty: 5 }, [0], () => prompt, 1)).get(0)!.tokens[0]).toBe(best)
})

test('presence and frequency penalties count tokens of the output alone', async () => {
  const prompt = promptOf(4)
  const free = (await sample({}, [0], () => prompt, 40)).get(0)!.tokens
  const most = Math.max(...[...free].map((token) => free.filter((other) => other === token).length))
  expect(most).toBeGreaterThan(2)
  const never = (await sample({ presencePenalty: 100 }, [0], () => prompt, 40)).get(0)!.tokens
  expect(new Set(never).size).toBe(40)
  expect([...never].some((token) => prompt.includes(token))).toBe(true)
  const twice = (await sample({ frequencyPenalty: 100 }, [0], () => prompt, 50)).get(0)!.tokens
  expect(new Set(twice).size).toBe(50)
})

test('a row may have a temperature of its own', async () => {
  const sampler = await model.createSampler({ ...tinySampler, seed: 9 })
  const tokens = promptOf(2)
  await sampler.add([
    ...Array.from({ length: 30 }, (_, id) => ({ id, tokens, maxNewTokens: 1 })),
    ...Array.from({ length: 30 }, (_, id) => ({ id: 100 + id, tokens, maxNewTokens: 1, temperature: 2 })),
  ])
  const finished: Finished[] = []
  while (finished.length < 60) finished.push(...(await sampler.advance(4)).finished)
  const different = (own: boolean) =>
    new Set(finished.filter(({ id }) => id >= 100 === own).map((row) => row.tokens[0])).size
  expect(different(false)).toBe(1)
  expect(different(true)).toBeGreaterThan(5)
  await sampler.close()
})

test('a stop text ends a row at the token that completes it, which stays', async () => {
  const free = (await sample({}, [1])).get(1)!.tokens
  // Each token is two letters; the text stands over three of them.
  const spell = (token: number) => [65 + (token >> 3), 97 + (token & 7)]
  const bytes = Uint8Array.from(Array.from({ length: 64 }, (_, token) => spell(token)).flat())
  const tokenStart = Int32Array.from({ length: 65 }, (_, token) => token * 2)
  const text = String.fromCharCode(...[...free.subarray(3, 6)].flatMap(spell).slice(1, -1))
  const stopped = (await sample({ stopTexts: { texts: ['@', text], bytes, tokenStart } }, [1])).get(1)!
  expect(stopped.reason).toBe('stop')
  const spelled = String.fromCharCode(...[...free].flatMap(spell))
  const length = Math.ceil((spelled.indexOf(text) + text.length) / 2)
  expect(stopped.tokens).toEqual(free.slice(0, length))
  expect(stopped.logProbs).toHaveLength(length)
})

test('what the sampling law cannot be is refused by name', async () => {
  const refused = (options: Partial<SamplerOptions>) => model.createSampler({ ...tinySampler, ...options })
  await expect(refused({ typicalP: 0 })).rejects.toThrow(/options\.typicalP/)
  await expect(refused({ logitBias: [{ token: 64, bias: 1 }] })).rejects.toThrow(/token 64/)
  const bytes = Uint8Array.of(65)
  await expect(refused({ stopTexts: { texts: [''], bytes, tokenStart: Int32Array.of(0, 1) } })).rejects.toThrow(/empty/)
  await expect(refused({ stopTexts: { texts: ['a'], bytes, tokenStart: Int32Array.of(0, 2) } })).rejects.toThrow(
    /tokenStart/,
  )
})

test('a row whose logits are not finite ends alone', async () => {
  // Token 63's embedding is NaN: rows that hold it break, in a model whose head is not tied to it.
  const config = { ...tinyConfig, tieWordEmbeddings: false }
  const untied = tinyModel(config)
  const embedding = untied.tensors.find(({ name }) => name === 'model.embed_tokens.weight')!
  const file = readFileSync(untied.files[0]!)
  file.writeFloatLE(Number.NaN, embedding.offset + 63 * config.hiddenSize * 4)
  writeFileSync(untied.files[0]!, file)
  const broken = await runtime.loadModel(untied)
  const sampler = await broken.createSampler({ ...tinySampler, stopTokens: [] })
  await sampler.add([
    { id: 1, tokens: Int32Array.of(1, 2, 3), maxNewTokens: 1 },
    { id: 2, tokens: Int32Array.of(1, 63, 3), maxNewTokens: 1 },
  ])
  const { finished } = await sampler.advance(4)
  expect(Object.fromEntries(finished.map(({ id, reason }) => [id, reason]))).toEqual({ 1: 'length', 2: 'not-finite' })
})

test('a pipe in place of a weight file is refused, not waited for', async () => {
  const options = tinyModel()
  const pipe = join(options.files[0]!, '../pipe')
  execFileSync('mkfifo', [pipe])
  await expect(runtime.loadModel({ ...options, files: [pipe] })).rejects.toMatchObject({ code: 'BT_IO' })
})
