// Flags of `npm run bench`, with a default for each.
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { packageRoot } from '../dist/paths.js'
import { contestants } from './contestants.mjs'
import { kinds } from './plan.mjs'

export const usage = `npm run bench -- train|start|generate|weights|export|plan|tensorboard [options]

  --data FILE              rows; examples/seed.jsonl
  --model NAME             smollm2-135m, or tinyllama-shape (random weights; train alone)
  --precision fp32|bf16    what bt-native takes by itself
  --device cpu|cuda        cpu; cuda for train alone
  --threads N              2
  --windows N              timed rounds, in turn; 5 (3 with --scaling)
  --only NAMES             of ${Object.keys(contestants).join(',')}; not for generate
  --max-tokens N           longest row; 512; not for start
  --json FILE              everything that was measured
  --write-docs             the table into docs/performance.md (docs/export.md)

train
  --agree STEPS            losses compared before timing, steps of 4 short rows; 50, 0 for none
  --tokens-per-step N      a token budget in place of 4 x 4 rows a step
  --settings LIST          in place of looking for the fastest: careful=2/tuned,compiled=4/default (rows/malloc)
  --scaling                tokens/s against sequence length, rank and threads
  --lengths, --ranks, --thread-counts LIST   what --scaling goes through

generate
  --adapter FOLDER         none: the base model
  --rows N                 prompts of a window; 32
  --max-new-tokens N       64
  --batch-sizes LIST       tried for transformers: 8,16,32
  --new-tokens N           of one sequence, to time decoding; 48
  --contestants LIST       of ours,ours-int8,transformers,llama-f16,llama-q8_0; all

export
  --adapter FOLDER         what is merged; --data, --rows and --max-new-tokens as above
  --types LIST             of safetensors/f32, f16, bf16 and gguf/f32, f16, bf16, q8_0, q4_0; all

plan
  --batch-rows LIST        rows at a time, of 16 a step; 1,4,16
  --steps N                of each run; 4
  --kinds LIST             of ${Object.keys(kinds).join(',')}; all

weights: log-likelihood of --data under each way of holding weights, with --adapter and --max-tokens

tensorboard: a check that tensorboard reads what --tensorboard writes; it takes --data, --model, --threads and --json
`

const text = (fallback) => ({ type: 'string', default: fallback })

const flags = {
  data: text(join(packageRoot, 'examples/seed.jsonl')),
  model: text('smollm2-135m'),
  precision: { type: 'string' },
  device: text('cpu'),
  threads: text('2'),
  windows: { type: 'string' },
  only: text(Object.keys(contestants).join(',')),
  'max-tokens': text('512'),
  json: { type: 'string' },
  'write-docs': { type: 'boolean', default: false },
  agree: text('50'),
  'tokens-per-step': { type: 'string' },
  settings: text(''),
  scaling: { type: 'boolean', default: false },
  lengths: text('128,256,512,1024,2048,4096,8192'),
  ranks: text('4,8,16,32,64'),
  'thread-counts': text('1,2'),
  adapter: { type: 'string' },
  rows: text('32'),
  'max-new-tokens': text('64'),
  'batch-sizes': text('8,16,32'),
  'new-tokens': text('48'),
  contestants: text('ours,ours-int8,transformers,llama-f16,llama-q8_0'),
  types: text('safetensors/f32,safetensors/f16,safetensors/bf16,gguf/f32,gguf/f16,gguf/bf16,gguf/q8_0,gguf/q4_0'),
  'batch-rows': text('1,4,16'),
  steps: text('4'),
  kinds: text(Object.keys(kinds).join(',')),
}

const always = ['data', 'precision', 'threads', 'windows', 'json', 'write-docs']
/** Flags that each bench takes. */
const takes = {
  train: [...always, 'device', 'model', 'only', 'max-tokens', 'agree', 'tokens-per-step', 'settings'],
  scaling: [...always, 'model', 'only', 'max-tokens', 'settings', 'scaling', 'lengths', 'ranks', 'thread-counts'],
  start: [...always, 'only'],
  generate: [...always, 'max-tokens', 'adapter', 'rows', 'max-new-tokens', 'batch-sizes', 'new-tokens', 'contestants'],
  export: [...always, 'max-tokens', 'adapter', 'rows', 'max-new-tokens', 'types'],
  plan: [...always, 'max-tokens', 'batch-rows', 'steps', 'kinds'],
  weights: ['data', 'threads', 'json', 'write-docs', 'max-tokens', 'adapter'],
  tensorboard: ['data', 'model', 'threads', 'json'],
}

/** @throws {Error} that names the flag which is not understood, or which this bench has no use for */
export function readOptions(args) {
  const { values, positionals, tokens } = parseArgs({ args, allowPositionals: true, options: flags, tokens: true })
  const kind = positionals.join(' ') === 'train' && values.scaling ? 'scaling' : positionals.join(' ')
  const idle = tokens.find((token) => token.kind === 'option' && takes[kind] && !takes[kind].includes(token.name))
  if (idle) throw new Error(`--${idle.name}: ${kind} has no use for it`)
  const number = (name, fallback) => {
    const value = Number(values[name] ?? fallback)
    if (!Number.isInteger(value) || value < 0) throw new Error(`--${name} ${values[name]}: a whole number was expected`)
    return value
  }
  if (number('windows', '1') === 0 && kind !== 'train') throw new Error('--windows 0: a median of nothing')
  const numbers = (name) => values[name].split(',').filter(Boolean).map(Number)
  return {
    bench: positionals.join(' '),
    data: values.data,
    model: values.model,
    precision: values.precision,
    device: readDevice(values.device),
    threads: number('threads'),
    windows: values.windows === undefined ? (values.scaling ? 3 : 5) : number('windows'),
    only: readNames('only', values.only, contestants),
    maxTokens: number('max-tokens'),
    json: values.json,
    writeDocs: values['write-docs'],
    agree: number('agree'),
    tokensPerStep: values['tokens-per-step'] === undefined ? undefined : number('tokens-per-step'),
    settings: readSettings(values.settings),
    scaling: values.scaling,
    lengths: numbers('lengths'),
    ranks: numbers('ranks'),
    threadCounts: numbers('thread-counts'),
    adapter: values.adapter,
    rows: number('rows'),
    maxNewTokens: number('max-new-tokens'),
    batchSizes: numbers('batch-sizes'),
    newTokens: number('new-tokens'),
    contestants: values.contestants.split(',').filter(Boolean),
    types: values.types.split(',').map((one) => ({ to: one.split('/')[0], dtype: one.split('/')[1] })),
    batchRows: numbers('batch-rows'),
    steps: number('steps'),
    kinds: readNames('kinds', values.kinds, kinds),
  }
}

function readDevice(device) {
  if (device !== 'cpu' && device !== 'cuda') throw new Error(`--device ${device}: cpu or cuda`)
  return device
}

function readNames(flag, list, known) {
  const names = list.split(',').filter(Boolean)
  for (const name of names) {
    if (!Object.hasOwn(known, name)) throw new Error(`--${flag} ${name}: one of ${Object.keys(known).join(', ')}`)
  }
  return names
}

/** "careful=2/tuned" to { careful: { rows: 2, malloc: 'tuned' } }. */
function readSettings(list) {
  return Object.fromEntries(
    list
      .split(',')
      .filter(Boolean)
      .map((one) => {
        const [, name, rows, malloc] = /^(\w+)=(\d+)\/(default|tuned)$/.exec(one) ?? []
        if (!Object.hasOwn(contestants, name ?? ''))
          throw new Error(`--settings ${one}: NAME=ROWS/default|tuned was expected`)
        return [name, { rows: Number(rows), malloc }]
      }),
  )
}
