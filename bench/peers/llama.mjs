// llama.cpp through node-llama-cpp, as a child with the commands and answers of the peers (serve.py).
// Usage: node llama.mjs FOLDER    (the folder that node-llama-cpp was installed into)
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

const { getLlama, LlamaLogLevel } = await import(
  pathToFileURL(join(process.argv[2], 'node_modules/node-llama-cpp/dist/index.js')).href
)

let sequence
let sequences
let model

const commands = {
  /** Keys and values are kept in FP32: what is compared is the file. */
  async open({ path, threads, contextSize }) {
    const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error, maxThreads: threads })
    model = await llama.loadModel({ modelPath: path })
    const cache = { experimentalKvCacheKeyType: 'F32', experimentalKvCacheValueType: 'F32' }
    const context = await model.createContext({ contextSize, threads, flashAttention: false, sequences: 1, ...cache })
    sequence = context.getSequence()
    return { vocab: model.fileInfo.metadata.tokenizer.ggml.tokens.length }
  },

  /** As it is by itself, for speed: some sequences over one context. */
  async openFast({ path, threads, contextSize, sequences: count }) {
    const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error, maxThreads: threads })
    model = await llama.loadModel({ modelPath: path })
    const context = await model.createContext({ contextSize, threads, sequences: count })
    sequences = Array.from({ length: count }, () => context.getSequence())
    return {}
  },

  /** Greedy, the next prompt taken by whichever sequence is free. */
  async answer({ prompts, maxNewTokens, stopTokens }) {
    const started = performance.now()
    const waiting = prompts.entries()
    const outputs = []
    const work = async (one) => {
      for (const [index, prompt] of waiting) {
        await one.clearHistory()
        outputs[index] = []
        for await (const token of one.evaluate(prompt, { temperature: 0 })) {
          if (stopTokens.includes(token)) break
          outputs[index].push(token)
          if (outputs[index].length === maxNewTokens) break
        }
      }
    }
    await Promise.all(sequences.map(work))
    return { outputs, seconds: (performance.now() - started) / 1000, peakBytes: peakBytes() }
  },

  /** One sequence: tokens/s of its prompt, and of tokens after it. */
  async speed({ prompt, newTokens }) {
    const [one] = sequences
    await one.clearHistory()
    const started = performance.now()
    let first
    let count = 0
    // Whatever ends a turn is a token like others here.
    for await (const _ of one.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
      first ??= performance.now()
      if (count++ === newTokens) break
    }
    const [prefill, decode] = [(first - started) / 1000, (performance.now() - first) / 1000]
    return { prefill: prompt.length / prefill, decode: (count - 1) / decode, peakBytes: peakBytes() }
  },

  /** Ids of plain texts, without added ones. */
  async tokenize({ texts }) {
    return { ids: texts.map((text) => model.tokenize(text, false)) }
  },

  /** Greedy: the likeliest token, from the logits themselves. */
  async generate({ prompts, maxNewTokens, stopTokens }) {
    const outputs = []
    for (const prompt of prompts) {
      await sequence.clearHistory()
      const output = []
      let next = await likeliest(prompt)
      while (output.length < maxNewTokens && !stopTokens.includes(next)) {
        output.push(next)
        if (output.length < maxNewTokens) next = await likeliest([next])
      }
      outputs.push(output)
    }
    return { outputs }
  },

  /** log p of every token from `targetStart` on, nats. */
  async score({ rows }) {
    const scores = []
    for (const { tokens, targetStart } of rows) {
      await sequence.clearHistory()
      const input = tokens
        .slice(0, -1)
        .map((token, i) => (i + 1 >= targetStart ? [token, { generateNext: { logits: true } }] : token))
      const answers = await sequence.controlledEvaluate(input)
      scores.push(tokens.slice(targetStart).map((token, i) => logProb(answers[targetStart - 1 + i].next.logits, token)))
    }
    return { scores }
  },
}

function peakBytes() {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024
}

async function likeliest(tokens) {
  const input = [...tokens.slice(0, -1), [tokens.at(-1), { generateNext: { logits: true } }]]
  const answers = await sequence.controlledEvaluate(input)
  return answers.at(-1).next.logits.keys().next().value // sorted, likeliest first
}

function logProb(logits, token) {
  const largest = logits.values().next().value
  let sum = 0
  for (const logit of logits.values()) sum += Math.exp(logit - largest)
  return logits.get(token) - largest - Math.log(sum)
}

for await (const line of createInterface({ input: process.stdin })) {
  const [[name, options]] = Object.entries(JSON.parse(line))
  const answer = await commands[name](options).catch((error) => ({ error: error.stack }))
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
process.exit()
