// Downloads from a Hub of our own: a node:http server that answers as huggingface.co does.
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, readlink, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type DownloadOptions, downloadModel } from '../../src/models/hub.js'
import { parseHubReference } from '../../src/models/hub-id.js'
import { openModel } from '../../src/models/open.js'
import type { Progress } from '../../src/progress.js'
import { failureOf, familyFixtures, fixtures, modelFolder, temporaryFolder } from './folder.js'

const commit = 'c0ffee'.padEnd(40, '0')
const { llama } = await familyFixtures()

/** What the server holds, what it was asked, and how it misbehaves. */
interface Hub {
  files: Map<string, Buffer>
  requests: { url: string; range?: string; authorization?: string }[]
  /** Answers instead of the rest; true when it did. */
  intercept: (request: IncomingMessage, response: ServerResponse) => boolean
}

let hub: Hub
let server: Server
let env: NodeJS.ProcessEnv

beforeEach(async () => {
  const folder = await modelFolder(llama!, { shards: 2, files: { 'tokenizer_config.json': '{"eos_token": "</s>"}' } })
  const files = new Map<string, Buffer>()
  for (const name of await readdir(folder)) files.set(name, await readFile(join(folder, name)))
  for (const name of ['pytorch_model.bin', 'README.md', 'onnx/model.onnx']) files.set(name, Buffer.from('not needed'))
  hub = { files, requests: [], intercept: () => false }
  server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  env = { HF_ENDPOINT: `http://127.0.0.1:${port}/`, HF_HOME: await temporaryFolder() }
})

afterEach(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

const isLarge = (name: string) => /\.(safetensors|bin|onnx|gguf)$/.test(name)
const sha256 = (content: Buffer) => createHash('sha256').update(content).digest('hex')
const gitHash = (content: Buffer) => createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex')

function answer(request: IncomingMessage, response: ServerResponse): void {
  const url = decodeURIComponent(request.url!)
  const { range, authorization } = request.headers
  hub.requests.push({ url, range, authorization })
  if (hub.intercept(request, response)) return
  if (url.startsWith('/api/models/org/tiny/revision/')) sendListing(response)
  else sendFile(url.replace(`/org/tiny/resolve/${commit}/`, ''), range, response)
}

function sendFile(name: string, range: string | undefined, response: ServerResponse): void {
  const content = hub.files.get(name)
  if (content === undefined) {
    response.writeHead(404, { 'x-error-code': 'RepoNotFound' }).end()
    return
  }
  const start = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0)
  if (range !== undefined) {
    response.writeHead(206, { 'content-range': `bytes ${start}-${content.length - 1}/${content.length}` })
  }
  response.end(content.subarray(start))
}

function sendListing(response: ServerResponse): void {
  const siblings = [...hub.files].map(([rfilename, content]) => ({
    rfilename,
    size: content.length,
    blobId: gitHash(content),
    ...(isLarge(rfilename) ? { lfs: { sha256: sha256(content), size: content.length, pointerSize: 134 } } : {}),
  }))
  response
    .writeHead(200, { 'content-type': 'application/json' })
    .end(JSON.stringify({ id: 'org/tiny', sha: commit, siblings }))
}

const download = (options: DownloadOptions & { name?: string } = {}) =>
  downloadModel(parseHubReference(options.name ?? 'org/tiny')!, { env, retryDelay: 1, ...options })

const cache = (...parts: string[]) => join(env.HF_HOME!, 'hub/models--org--tiny', ...parts)
const fetched = () =>
  hub.requests.filter(({ url }) => url.includes('/resolve/')).map(({ url }) => url.split('/').at(-1)!)

/** The first shard's transfer breaks off after `bytes` of each answer, so many times. */
function breakTransfers(times: number, bytes: number): void {
  hub.intercept = (request, response) => {
    if (!request.url!.endsWith('model-00001-of-00002.safetensors') || times-- <= 0) return false
    const content = hub.files.get('model-00001-of-00002.safetensors')!
    const start = Number(/(\d+)-$/.exec(request.headers.range ?? '0-')![1])
    const headers = {
      'content-length': content.length - start,
      'content-range': `bytes ${start}-${content.length - 1}/${content.length}`,
    }
    response.writeHead(request.headers.range ? 206 : 200, headers)
    response.write(content.subarray(start, start + bytes), () => response.destroy())
    return true
  }
}

describe('a model on the Hub', () => {
  test('lies in the standard cache afterwards: only what is needed, opens, and is not fetched twice', async () => {
    const progress: Progress[] = []
    const { path, kind } = await download({ onProgress: (step) => progress.push(step) })
    expect([path, kind]).toEqual([cache('snapshots', commit), 'folder'])
    expect(fetched().sort()).toEqual(
      [...hub.files.keys()]
        .filter((name) => !['pytorch_model.bin', 'README.md', 'onnx/model.onnx'].includes(name))
        .sort(),
    )
    expect(await readFile(cache('refs/main'), 'utf8')).toBe(commit)
    const weights = hub.files.get('model-00001-of-00002.safetensors')!
    expect(await readlink(join(path, 'model-00001-of-00002.safetensors'))).toBe(`../../blobs/${sha256(weights)}`)
    expect(await readlink(join(path, 'config.json'))).toBe(`../../blobs/${gitHash(hub.files.get('config.json')!)}`)
    expect((await readdir(cache('blobs'))).filter((name) => name.includes('incomplete'))).toEqual([])
    expect(progress.at(-1)).toMatchObject({ label: 'downloading org/tiny', unit: 'bytes' })
    expect(progress.at(-1)!.done).toBe(progress.at(-1)!.total)
    const source = await openModel(path)
    expect(source.config.family).toBe('llama')

    hub.requests = []
    await download()
    expect(fetched()).toEqual([])
  })

  test('is opened by its name, with the revision that was asked for', async () => {
    const before = { ...process.env }
    Object.assign(process.env, env)
    try {
      const source = await openModel('org/tiny@v1.0')
      expect(source).toMatchObject({ name: 'org/tiny', reference: 'org/tiny@v1.0', path: cache('snapshots', commit) })
      expect(hub.requests[0]!.url).toBe('/api/models/org/tiny/revision/v1.0?blobs=true')
      expect(await readdir(cache('refs'))).toEqual(['v1.0'])
    } finally {
      process.env = before
    }
  })

  test('that has one .gguf file is that file', async () => {
    hub.files = new Map([['tiny.gguf', await readFile(join(fixtures, 'llama.gguf'))]])
    const { path, kind } = await download()
    expect(kind).toBe('gguf')
    expect((await openModel(path)).format).toBe('gguf')
  })

  test('with only pickled weights, or several .gguf files, is refused before anything is fetched', async () => {
    const config = hub.files.get('config.json')!
    hub.files = new Map([
      ['config.json', config],
      ['pytorch_model.bin', Buffer.from('x')],
    ])
    expect((await failureOf(download())).message).toContain('run any code')
    hub.files = new Map(['a.gguf', 'b.gguf'].map((name) => [name, config]))
    expect((await failureOf(download())).message).toContain('a.gguf, b.gguf')
    expect(fetched()).toEqual([])
  })
})

describe('a transfer', () => {
  test('that breaks off goes on from the bytes that arrived', async () => {
    breakTransfers(2, 30_000)
    const { path } = await download()
    const ranges = hub.requests.filter(({ url }) => url.includes('00001-of')).map(({ range }) => range)
    expect(ranges).toHaveLength(3)
    expect(ranges[0]).toBeUndefined()
    const starts = ranges.slice(1).map((range) => Number(/^bytes=(\d+)-$/.exec(range!)![1]))
    expect(starts[0]).toBeGreaterThan(0)
    expect(starts[1]).toBeGreaterThan(starts[0]!)
    expect(await readFile(join(path, 'model-00001-of-00002.safetensors'))).toEqual(
      hub.files.get('model-00001-of-00002.safetensors'),
    )
  })

  test('that never recovers says so, and the next call goes on where it was', async () => {
    const content = hub.files.get('model-00001-of-00002.safetensors')!
    breakTransfers(1, 30_000)
    const first = hub.intercept
    hub.intercept = (request, response) => {
      if (!request.url!.includes('00001-of') || first(request, response)) return request.url!.includes('00001-of')
      response.destroy()
      return true
    }
    expect((await failureOf(download())).code).toBe('BT_HUB_NETWORK')
    const partial = await readFile(cache('blobs', `${sha256(content)}.incomplete`))
    expect(partial).toEqual(content.subarray(0, partial.length))
    expect(partial.length).toBeGreaterThan(0)
    hub.requests = []
    hub.intercept = () => false
    await download()
    expect(hub.requests.find(({ url }) => url.includes('00001-of'))!.range).toBe(`bytes=${partial.length}-`)
  })

  test('is tried again after a 503', async () => {
    let refused = 0
    hub.intercept = (_, response) => {
      if (refused++ % 2 === 1) return false
      response.writeHead(503).end()
      return true
    }
    await download()
    expect(refused).toBeGreaterThan(10)
  })

  test('that a server without ranges answers in full is whole all the same', async () => {
    const name = 'model-00001-of-00002.safetensors'
    const content = hub.files.get(name)!
    await mkdir(cache('blobs'), { recursive: true })
    await writeFile(cache('blobs', `${sha256(content)}.incomplete`), content.subarray(0, 100))
    hub.intercept = (request, response) => {
      if (!request.url!.endsWith(name)) return false
      response.end(content)
      return true
    }
    const { path } = await download()
    expect(await readFile(join(path, name))).toEqual(content)
  })

  test('whose left-over beginning is of other content starts anew', async () => {
    const name = 'model-00002-of-00002.safetensors'
    await mkdir(cache('blobs'), { recursive: true })
    await writeFile(cache('blobs', `${sha256(hub.files.get(name)!)}.incomplete`), Buffer.alloc(100, 1))
    const { path } = await download()
    expect(await readFile(join(path, name))).toEqual(hub.files.get(name))
  })

  test.each(['model-00002-of-00002.safetensors', 'config.json'])(
    'of changed content for %s is refused',
    async (name) => {
      const changed = Buffer.from(hub.files.get(name)!)
      changed[changed.length - 1]! ^= 1
      hub.intercept = (request, response) => {
        if (!request.url!.endsWith(name)) return false
        response.end(changed)
        return true
      }
      const error = await failureOf(download())
      expect([error.code, error.message]).toEqual(['BT_HUB_CHECKSUM', expect.stringContaining(name)])
      expect(await readdir(cache('snapshots', commit))).not.toContain(name)
      expect((await readdir(cache('blobs'))).filter((file) => file.includes('incomplete'))).toEqual([])
    },
  )

  test('is stopped by its signal, and what arrived stays', async () => {
    const stop = new AbortController()
    hub.intercept = (request, response) => {
      if (!request.url!.includes('00001-of')) return false
      response.writeHead(200).write(hub.files.get('model-00001-of-00002.safetensors')!.subarray(0, 5000), () => {
        setTimeout(() => stop.abort(), 50)
      })
      return true
    }
    await expect(download({ signal: stop.signal })).rejects.toThrow(/abort/i)
    expect((await readdir(cache('blobs'))).some((name) => name.endsWith('.incomplete'))).toBe(true)
  })
})

describe('the environment', () => {
  test('HF_TOKEN, else the token file, is sent', async () => {
    await writeFile(join(env.HF_HOME!, 'token'), 'hf_file\n')
    await download()
    expect(new Set(hub.requests.map(({ authorization }) => authorization))).toEqual(new Set(['Bearer hf_file']))
    env.HF_TOKEN = 'hf_env'
    hub.requests = []
    await download()
    expect(hub.requests[0]!.authorization).toBe('Bearer hf_env')
  })

  test('HF_HUB_CACHE is where the models lie', async () => {
    env.HF_HUB_CACHE = await temporaryFolder()
    expect((await download()).path.startsWith(env.HF_HUB_CACHE)).toBe(true)
  })

  test('HF_HUB_OFFLINE takes what is in the cache and asks nobody', async () => {
    await download()
    hub.requests = []
    expect((await download({ env: { ...env, HF_HUB_OFFLINE: '1' } })).path).toBe(cache('snapshots', commit))
    expect(hub.requests).toEqual([])
  })

  test('HF_HUB_OFFLINE without a complete model is an error, as is a cache with half of one', async () => {
    const offline = { ...env, HF_HUB_OFFLINE: 'TRUE' }
    expect((await failureOf(download({ env: offline }))).code).toBe('BT_HUB_OFFLINE')
    const stop = new AbortController()
    hub.intercept = (request) => {
      if (request.url!.includes('00002-of')) stop.abort()
      return false
    }
    await expect(download({ signal: stop.signal })).rejects.toThrow()
    expect((await failureOf(download({ env: offline }))).code).toBe('BT_HUB_OFFLINE')
  })

  test('a Hub that cannot be reached does not hinder work on what is in the cache', async () => {
    const unreachable = { ...env, HF_ENDPOINT: 'http://127.0.0.1:9' }
    const error = await failureOf(download({ env: unreachable }))
    expect([error.code, error.message]).toEqual(['BT_HUB_NETWORK', expect.stringContaining('127.0.0.1:9')])
    await download()
    expect((await download({ env: unreachable })).path).toBe(cache('snapshots', commit))
  })
})

describe('a refusal', () => {
  const refuse = (status: number, reason?: string) => {
    hub.intercept = (_, response) => {
      response.writeHead(status, reason === undefined ? {} : { 'x-error-code': reason }).end()
      return true
    }
  }

  test.each([
    [401, undefined, 'BT_HUB_UNAUTHORIZED', 'does not exist, or is private and no token is set'],
    [401, 'GatedRepo', 'BT_HUB_GATED', 'terms'],
    [403, 'GatedRepo', 'BT_HUB_GATED', 'terms'],
    [404, 'RepoNotFound', 'BT_MODEL_NOT_FOUND', 'not on the Hub'],
    [404, 'RevisionNotFound', 'BT_MODEL_NOT_FOUND', 'no revision "dev"'],
  ])('%i %s is %s', async (status, reason, code, message) => {
    refuse(status, reason)
    const error = await failureOf(download({ name: 'org/tiny@dev' }))
    expect([error.code, error.message]).toEqual([code, expect.stringContaining(message)])
    expect(hub.requests).toHaveLength(1)
  })

  test('a token that is not accepted is named as such', async () => {
    refuse(401)
    env.HF_TOKEN = 'hf_old'
    expect((await failureOf(download())).message).toContain('token is not accepted')
  })
})

test.each(['org/name', 'Qwen/Qwen2.5-0.5B-Instruct', 'a/b@main', 'a/b@refs/pr/1'])('%s can be on the Hub', (name) => {
  expect(parseHubReference(name)).toBeDefined()
})

test.each(['name', './a/b', '/a/b', 'a/b/c', '../a', 'a/..', 'a b/c', 'a/b@', 'a--b/c', 'a/b@../../x'])(
  '%s cannot',
  (name) => {
    expect(parseHubReference(name)).toBeUndefined()
  },
)
