// A server that answers as the Hub does where bt-native publishes: trees, making repositories, preupload, LFS batches with
// uploads to another place, commits. What it was told is kept.
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface HubServer {
  url: string
  /** "POST /api/repos/create", in order. */
  requests: string[]
  /** Authorization of each request, by its line. */
  tokens: Map<string, string | undefined>
  /** What was asked for when a repository was made. */
  made: Record<string, unknown>[]
  /** Content of each file of the repository. */
  files: Map<string, Buffer>
  /** LFS objects that arrived, by SHA-256. */
  objects: Map<string, Buffer>
  /** Answers with these before it does what it should, by the beginning of the request's line. */
  failures: { request: string; status: number; times: number; body?: string }[]
  close(): Promise<void>
}

const token = 'hf_secretOfTheTest'
/** Files of at least so many bytes go to LFS. */
const large = 2000

export { token as hubToken }

/** @param exists whether the repository is there */
export async function openHubServer(exists = false): Promise<HubServer> {
  const storage = createServer()
  const hub = createServer()
  for (const server of [storage, hub]) await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const state: HubServer & { exists: boolean } = {
    url: `http://127.0.0.1:${(hub.address() as AddressInfo).port}`,
    requests: [],
    tokens: new Map(),
    made: [],
    files: new Map(),
    objects: new Map(),
    failures: [],
    exists,
    close: async () => {
      for (const server of [storage, hub]) await closed(server)
    },
  }
  const stored = `http://127.0.0.1:${(storage.address() as AddressInfo).port}`
  for (const server of [storage, hub]) {
    server.on('request', async (request, response) => {
      const body = await bodyOf(request)
      const answer = answerOf(state, request, body, stored)
      response.writeHead(answer.status, { 'Content-Type': answer.type ?? 'application/json', ...answer.headers })
      response.end(typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body ?? {}))
    })
  }
  return state
}

interface Answer {
  status: number
  body?: unknown
  type?: string
  headers?: Record<string, string>
}

function answerOf(
  state: HubServer & { exists: boolean },
  request: IncomingMessage,
  body: Buffer,
  stored: string,
): Answer {
  const line = `${request.method} ${request.url}`
  state.requests.push(line)
  state.tokens.set(line, request.headers.authorization)
  const failure = state.failures.find((one) => one.times > 0 && line.startsWith(one.request))
  if (failure) {
    failure.times--
    return { status: failure.status, body: failure.body ?? { error: 'try again' } }
  }
  const allowed = request.headers.authorization === `Bearer ${token}`
  if (line.startsWith('PUT /upload/')) {
    const oid = line.slice('PUT /upload/'.length)
    if (sha256(body) !== oid) return { status: 400, body: { error: 'another content' } }
    state.objects.set(oid, body)
    return { status: 200 }
  }
  if (/^GET \/api\/(datasets|models)\/org\/name\/tree\/main/.test(line)) {
    if (!state.exists) return { status: allowed ? 404 : 401, body: { error: 'Repository not found' } }
    return { status: 200, body: [...state.files].map(([path, content]) => entry(path, content)) }
  }
  if (!allowed) return { status: 401, body: { error: 'Invalid username or password.' } }
  if (line === 'POST /api/repos/create') {
    state.made.push(JSON.parse(body.toString()))
    if (state.exists) return { status: 409, body: { error: 'You already created this repo' } }
    state.exists = true
    return { status: 200, body: { url: `${state.url}/datasets/org/name`, id: '1' } }
  }
  if (/^POST \/api\/(datasets|models)\/org\/name\/preupload\/main$/.test(line)) {
    const { files } = JSON.parse(body.toString()) as { files: { path: string; size: number }[] }
    const modes = files.map(({ path, size }) => ({
      path,
      uploadMode: size >= large ? 'lfs' : 'regular',
      shouldIgnore: false,
    }))
    return { status: 200, body: { files: modes } }
  }
  if (/^POST \/(datasets\/)?org\/name\.git\/info\/lfs\/objects\/batch$/.test(line)) {
    const { objects } = JSON.parse(body.toString()) as { objects: { oid: string; size: number }[] }
    const answers = objects.map(({ oid, size }) => {
      const upload = { href: `${stored}/upload/${oid}`, header: {} }
      return { oid, size, ...(state.objects.has(oid) ? {} : { actions: { upload } }) }
    })
    return { status: 200, body: { transfer: 'basic', objects: answers } }
  }
  if (/^POST \/api\/(datasets|models)\/org\/name\/commit\/main$/.test(line)) return commit(state, body)
  return { status: 404, body: { error: `nothing at ${line}` } }
}

function commit(state: HubServer, body: Buffer): Answer {
  const lines = body
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  for (const { key, value } of lines) {
    if (key === 'file') state.files.set(value.path, Buffer.from(value.content, value.encoding))
    if (key !== 'lfsFile') continue
    const content = state.objects.get(value.oid)
    if (!content) return { status: 400, body: { error: `${value.path} was not uploaded` } }
    state.files.set(value.path, content)
  }
  return {
    status: 200,
    body: { success: true, commitOid: 'c0ffee', commitUrl: `${state.url}/commit/c0ffee`, hookOutput: '' },
  }
}

function entry(path: string, content: Buffer) {
  const oid = createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex')
  const lfs = content.length >= large ? { lfs: { oid: sha256(content), size: content.length, pointerSize: 130 } } : {}
  return { type: 'file', path, oid, size: content.length, ...lfs }
}

const sha256 = (content: Buffer) => createHash('sha256').update(content).digest('hex')

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part as Buffer)
  return Buffer.concat(parts)
}

function closed(server: Server): Promise<void> {
  server.closeAllConnections()
  return new Promise((resolve) => server.close(() => resolve()))
}
