// Everything that reads bytes from outside, each with files that are whole. A target's `run` takes a folder whose files are
// as a user would have them, one of them damaged. It may fail with a BtError; whatever else it throws is a finding.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { root } from '../console.mjs'

const fixtures = join(root, 'test', 'fixtures')
const read = (...parts) => readFileSync(join(fixtures, ...parts))
const dist = (path) => import(`../../dist/${path}.js`)

/** Files of a fixture's folder, those of its folders left out. */
function filesOf(...parts) {
  const folder = join(fixtures, ...parts)
  const names = readdirSync(folder).filter((name) => name !== 'expected.json' && statSync(join(folder, name)).isFile())
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name))]))
}

/** Each file by itself as a whole set. */
const apart = (files) => files.map(([name, bytes]) => ({ [name]: bytes }))

async function drain(rows) {
  for await (const row of rows) JSON.stringify(row)
}

/** What a tokenizer is used for, on text that holds a little of everything. */
async function useTokenizer(source) {
  const { openTokenizer } = await dist('text/tokenizer')
  const tokenizer = await openTokenizer(source)
  const ids = await tokenizer.encodeText('Ab 12 \u00e9\u4f60\ud83d\ude00\n  </s><|im_end|>')
  tokenizer.decode([...ids, ...tokenizer.eosIds, tokenizer.vocabSize])
  for (const id of ids) tokenizer.tokenBytes(id)
  return tokenizer
}

async function useModel(source) {
  const tokenizer = await useTokenizer(source.tokenizer)
  if (source.tokenizer.chatTemplate === undefined) return
  const { openChat } = await dist('text/chat')
  const chat = await openChat(tokenizer, source.tokenizer)
  await chat.encode([{ role: 'user', content: 'Hi' }], { addGenerationPrompt: true })
}

const page = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Stones</title></head><body><nav><a href="/">Home</a></nav>
<article><h1>Stones</h1><p>${'A stone lies in the garden, and the rain falls on it. '.repeat(8)}</p><h2>More</h2><ul><li>one<ul><li>two</li></ul></li></ul>
<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table><pre><code>x = 1</code></pre><blockquote><p>Said &amp; done.</p></blockquote>
<p>${'Where the river bends there is a bridge of wood. '.repeat(8)}</p></article><script>var a = "</p>"</script></body></html>`

const markdown = `---\ntitle: Stones\n---\n# Stones\n\n${'A stone lies in the garden. '.repeat(10)}\n\n## More\n\n- one\n  - two\n\n> said\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n\`\`\`js\nx\n\`\`\`\n\n[a]: http://x.y\n`

function warc() {
  const http = `HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(page)}\r\n\r\n${page}`
  const record = (type, kind, body) =>
    `WARC/1.0\r\nWARC-Type: ${type}\r\nWARC-Target-URI: http://x.y/\r\nWARC-Date: 2024-01-01T00:00:00Z\r\nWARC-Record-ID: <urn:uuid:1>\r\nContent-Type: ${kind}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}\r\n\r\n`
  return Buffer.from(
    record('warcinfo', 'application/warc-fields', 'software: x\r\n') +
      record('response', 'application/http; msgtype=response', http) +
      record('conversion', 'text/plain', 'Plain words of a page.'),
  )
}

/** A document of any kind to segments, as `segment` makes them. */
async function segments(path) {
  const [{ readDocuments }, { sift }, { Drops }] = await Promise.all([
    dist('segment/documents'),
    dist('segment/sift'),
    dist('data/drops'),
  ])
  const options = { minCharacters: 20, maxCharacters: 2000, repetition: 1, signatures: true }
  const sieve = { detector: { detect: () => 'en' } }
  for await (const document of readDocuments(path, { drops: new Drops({ strict: false }), format: 'auto' })) {
    JSON.stringify(sift(document, sieve, options))
  }
}

/** Rows as preprocessing, training and generation read them. */
async function rows(path) {
  const [{ readRows, rowToJson }, { readTexts }, { Drops }, { isBtError }] = await Promise.all([
    dist('data/rows'),
    dist('data/texts'),
    dist('data/drops'),
    import('./judge.mjs'),
  ])
  const readers = [
    async () => {
      for await (const { row } of readRows(path, { drops: new Drops({ strict: false }) }))
        JSON.stringify(rowToJson(row))
    },
    () => drain(readTexts(path, { drops: new Drops({ strict: false }) })),
  ]
  for (const reader of readers) {
    await reader().catch((error) => {
      if (!isBtError(error)) throw error
    })
  }
}

async function parquet() {
  const { writeParquetFromJsonl } = await dist('data/parquet-write')
  const folder = await mkdtemp(join(tmpdir(), 'bt-fuzz-'))
  try {
    const lines = Array.from({ length: 40 }, (_, i) =>
      JSON.stringify({ instruction: `Ask ${i}`, response: `Say ${i * i}` }),
    )
    await writeFile(join(folder, 'rows.jsonl'), `${lines.join('\n')}\n`)
    await writeParquetFromJsonl(join(folder, 'rows.jsonl'), join(folder, 'rows.parquet'), {
      instruction: 'VARCHAR',
      response: 'VARCHAR',
    })
    return readFileSync(join(folder, 'rows.parquet'))
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** A model of two small layers as the core is asked to load it: configuration and table of tensors. */
function table() {
  const config = JSON.parse(
    '{"family":"llama","vocabSize":32,"hiddenSize":32,"intermediateSize":32,"layers":1,"heads":2,"kvHeads":1,"headDim":16,"rmsNormEps":1e-5,"ropeTheta":10000,"qkvBias":false,"outBias":false,"mlpBias":false,"qkNorm":false,"tieWordEmbeddings":true,"slidingWindow":0,"maxPositions":64}',
  )
  const shapes = {
    'model.embed_tokens': [32, 32],
    'model.layers.0.input_layernorm': [32],
    'model.layers.0.self_attn.q_proj': [32, 32],
    'model.layers.0.self_attn.k_proj': [16, 32],
    'model.layers.0.self_attn.v_proj': [16, 32],
    'model.layers.0.self_attn.o_proj': [32, 32],
    'model.layers.0.post_attention_layernorm': [32],
    'model.layers.0.mlp.gate_proj': [32, 32],
    'model.layers.0.mlp.up_proj': [32, 32],
    'model.layers.0.mlp.down_proj': [32, 32],
    'model.norm': [32],
  }
  const sizes = { F32: 4, Q8_0: 34 / 32 }
  return (type) => {
    let offset = 0
    const tensors = Object.entries(shapes).map(([name, shape]) => {
      const kind = shape.length === 1 ? 'F32' : type
      const byteLength = shape.reduce((a, b) => a * b, 1) * sizes[kind]
      offset += byteLength
      return { name: `${name}.weight`, type: kind, shape, file: 0, offset: offset - byteLength, byteLength }
    })
    return Buffer.from(JSON.stringify({ config, tensors, dtype: 'float32' }))
  }
}

let runtime

/** name: `seeds` gives sets of files (name -> bytes); `only` names those that are damaged, all by default. */
export const targets = {
  safetensors: {
    seeds: () =>
      apart([
        ['model.safetensors', read('models', 'halves.safetensors')],
        ['model.safetensors', read('models', 'peft', 'adapter_model.safetensors')],
        ['model.safetensors', read('parity', 'llama', 'adapter', 'adapter_model.safetensors')],
      ]),
    async run(folder) {
      const { readSafetensors } = await dist('models/safetensors')
      await readSafetensors(join(folder, 'model.safetensors'))
    },
  },
  gguf: {
    seeds: () =>
      apart(['llama', 'qwen2', 'qwen3', 'spm'].map((name) => ['model.gguf', read('models', `${name}.gguf`)])),
    /** Bytes at the start of a file that are damaged: what follows are weights, any of which are weights. */
    header: 14_000,
    async run(folder) {
      const { openGguf } = await dist('models/gguf')
      await useModel(await openGguf(join(folder, 'model.gguf')))
    },
  },
  folder: {
    seeds: () => ['llama', 'llama3', 'mistral', 'qwen2', 'qwen3'].map((name) => filesOf('parity', name)),
    only: ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors'],
    header: 6000,
    async run(folder) {
      const { openFolder } = await dist('models/hf-folder')
      await useModel(await openFolder(folder))
    },
  },
  tokenizer: {
    seeds: () =>
      apart([
        ['tokenizer.json', read('parity', 'llama', 'tokenizer.json')],
        ['tokenizer.json', read('parity', 'qwen2', 'tokenizer.json')],
        ['tokenizer.json', read('score', 'tokenizer.json')],
      ]),
    async run(folder) {
      const json = readFileSync(join(folder, 'tokenizer.json'), 'utf8')
      await useTokenizer({ json, eosIds: [2], bosToken: '<s>', eosToken: '</s>', addBos: true })
    },
  },
  sentencepiece: {
    seeds: () => apart([['tokenizer.model', read('models', 'spm.model')]]),
    async run(folder) {
      const { tokenizerFromSentencePiece } = await dist('models/sentencepiece')
      await useTokenizer(await tokenizerFromSentencePiece(readFileSync(join(folder, 'tokenizer.model'))))
    },
  },
  adapter: {
    seeds: () => [filesOf('models', 'peft'), filesOf('parity', 'llama', 'adapter'), filesOf('parity', 'qwen3', 'init')],
    header: 6000,
    async run(folder) {
      const { readAdapter } = await dist('models/adapter')
      await readAdapter(folder)
    },
  },
  rows: {
    seeds() {
      const files = [
        'lima.jsonl',
        'messages.jsonl',
        'oasst-messages.jsonl',
        'oasst-trees.jsonl',
        'sharegpt.jsonl',
        'alpaca.json',
      ]
      const plain = files.map((name) => ['rows.jsonl', read('data', name)])
      return apart([...plain, ...plain.slice(3).map(([name, bytes]) => [name, gzipSync(bytes)])])
    },
    run: (folder) => rows(join(folder, 'rows.jsonl')),
  },
  parquet: {
    seeds: async () => apart([['rows.parquet', await parquet()]]),
    run: (folder) => rows(join(folder, 'rows.parquet')),
  },
  blocks: {
    async seeds() {
      const { packBlocks } = await dist('data/blocks')
      return apart([['rows.jsonl.gz', packBlocks(Buffer.from('{"a":1}\n'.repeat(20_000)))]])
    },
    async run(folder) {
      const { readBlocks } = await dist('data/blocks')
      const file = await open(join(folder, 'rows.jsonl.gz'), 'r')
      try {
        await drain(readBlocks(file))
      } finally {
        await file.close()
      }
    },
  },
  warc: {
    seeds: () =>
      apart([
        ['crawl.warc', warc()],
        ['crawl.warc', gzipSync(warc())],
      ]),
    run: (folder) => segments(join(folder, 'crawl.warc')),
  },
  html: {
    seeds: () => apart([['page.html', Buffer.from(page)]]),
    run: (folder) => segments(join(folder, 'page.html')),
  },
  markdown: {
    seeds: () => apart([['page.md', Buffer.from(markdown)]]),
    run: (folder) => segments(join(folder, 'page.md')),
  },
  table: {
    seeds: () =>
      ['F32', 'Q8_0'].map((type) => ({ 'table.json': table()(type), 'weights.bin': Buffer.alloc(40_000, 1) })),
    only: ['table.json'],
    async run(folder) {
      let options
      try {
        options = JSON.parse(readFileSync(join(folder, 'table.json'), 'utf8'))
      } catch {
        return // the readers write this table, so it is JSON always
      }
      if (options === null || typeof options !== 'object') return
      const { openRuntime } = await dist('native/runtime')
      runtime ??= await openRuntime({ device: 'cpu', threads: 1 })
      const model = await runtime.loadModel({ ...options, files: [join(folder, 'weights.bin')] })
      await model.close()
    },
  },
}
