// Fetches a model from the Hugging Face Hub into the standard cache, which Python's huggingface_hub reads as well:
// models--org--name/{blobs/HASH, refs/REVISION, snapshots/COMMIT/FILE -> ../../blobs/HASH}.
import { mkdir, readdir, readFile, stat, statfs, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { BtError, hasCode, messageOf } from '../errors.js'
import { writeFileAtomic } from '../files.js'
import type { OnProgress } from '../progress.js'
import { causeOf, fetchFile, type HubFile } from './hub-fetch.js'
import { indexFile, type Needed, neededFiles } from './hub-files.js'
import type { HubReference } from './hub-id.js'
import { type HubSettings, hubSettings } from './hub-settings.js'
import { readIfThere } from './json-file.js'

export interface DownloadOptions {
  onProgress?: OnProgress
  signal?: AbortSignal
  env?: NodeJS.ProcessEnv
  /** Milliseconds before the first retry; 1000 by default. */
  retryDelay?: number
}

/** A model in the cache: its snapshot folder, or the .gguf file in it. */
export interface Downloaded {
  path: string
  kind: 'folder' | 'gguf'
  commit: string
}

interface Repository {
  reference: HubReference
  settings: HubSettings
  /** models--org--name in the cache. */
  folder: string
  options: DownloadOptions
}

const commitForm = /^[0-9a-f]{40}$/
const listingSchema = z.looseObject({
  sha: z.string().regex(commitForm),
  siblings: z.array(
    z.looseObject({
      rfilename: z.string(),
      size: z.number().int().nonnegative().nullish(),
      blobId: z.string().regex(commitForm).nullish(),
      lfs: z.looseObject({ sha256: z.string().regex(/^[0-9a-f]{64}$/), size: z.number().int() }).nullish(),
    }),
  ),
})

/**
 * Fetches what is needed of a model and not in the cache yet. Without a network, or with HF_HUB_OFFLINE, what is in
 * the cache serves, when it is complete.
 * @throws {BtError} BT_MODEL_NOT_FOUND, BT_HUB_GATED, BT_HUB_UNAUTHORIZED, BT_HUB_OFFLINE, BT_HUB_NETWORK,
 * BT_HUB_CHECKSUM, BT_DISK_FULL, BT_MODEL_UNSUPPORTED
 */
export async function downloadModel(reference: HubReference, options: DownloadOptions = {}): Promise<Downloaded> {
  const settings = await hubSettings(options.env)
  const folder = join(settings.cache, `models--${reference.id.replace('/', '--')}`)
  const repository: Repository = { reference, settings, folder, options }
  if (settings.offline || commitForm.test(reference.revision)) {
    const cached = await cachedModel(repository)
    if (cached !== undefined) return cached
  }
  if (settings.offline) {
    throw new BtError('BT_HUB_OFFLINE', `${named(reference)} is not complete in ${folder}, and HF_HUB_OFFLINE is set`, {
      remedy: 'Unset HF_HUB_OFFLINE for one run, or copy the folder from a machine that has it.',
    })
  }
  try {
    return await fetchModel(repository)
  } catch (error) {
    const cached = hasCode(error, 'BT_HUB_NETWORK') ? await cachedModel(repository) : undefined
    if (cached === undefined) throw error
    return cached // as huggingface_hub does: a Hub that cannot be reached does not hinder work on what is here
  }
}

async function fetchModel(repository: Repository): Promise<Downloaded> {
  const { reference, folder } = repository
  const { commit, files } = await listFiles(repository)
  const needed = neededFiles(reference.id, [...files.keys()])
  const snapshot = join(folder, 'snapshots', commit)
  await mkdir(join(folder, 'blobs'), { recursive: true })
  await mkdir(snapshot, { recursive: true })
  await fetchAll(repository, commit, pick(reference, files, needed.small))
  const weights = needed.weights ?? (await shardsOf(join(snapshot, indexFile)))
  await fetchAll(repository, commit, pick(reference, files, weights))
  await writeRef(repository, commit)
  return describe(snapshot, commit, needed)
}

function describe(snapshot: string, commit: string, { gguf }: Needed): Downloaded {
  return gguf === undefined
    ? { path: snapshot, kind: 'folder', commit }
    : { path: join(snapshot, gguf), kind: 'gguf', commit }
}

/** The files at the top of the repository, with sizes and hashes. */
async function listFiles(repository: Repository): Promise<{ commit: string; files: Map<string, HubFile> }> {
  const { reference, settings } = repository
  const url = `${settings.endpoint}/api/models/${reference.id}/revision/${encodeURIComponent(reference.revision)}?blobs=true`
  const parsed = listingSchema.safeParse(await (await retried(repository, url)).json().catch(() => undefined))
  if (!parsed.success) {
    throw new BtError('BT_HUB_NETWORK', `${url}: not the answer of a Hub: ${z.prettifyError(parsed.error)}`)
  }
  const files = new Map<string, HubFile>()
  for (const { rfilename: name, size, blobId, lfs } of parsed.data.siblings) {
    const hash = lfs?.sha256 ?? blobId
    const bytes = lfs?.size ?? size
    if (name.includes('/') || hash == null || bytes == null) continue
    files.set(name, { name, size: bytes, hash })
  }
  return { commit: parsed.data.sha, files }
}

function pick(reference: HubReference, files: Map<string, HubFile>, names: readonly string[]): HubFile[] {
  return names.map((name) => {
    const file = files.get(name)
    if (file !== undefined) return file
    throw new BtError('BT_MODEL_NOT_FOUND', `${named(reference)}: ${indexFile} names ${name}, which is not there`)
  })
}

async function shardsOf(path: string): Promise<string[]> {
  const { weight_map: map } = z
    .looseObject({ weight_map: z.record(z.string(), z.string()) })
    .parse(JSON.parse(await readFile(path, 'utf8')))
  return [...new Set(Object.values(map))].sort()
}

async function fetchAll(repository: Repository, commit: string, files: HubFile[]): Promise<void> {
  const { folder, options, reference } = repository
  const total = files.reduce((sum, { size }) => sum + size, 0)
  const missing: HubFile[] = []
  for (const file of files) if ((await sizeOf(join(folder, 'blobs', file.hash))) !== file.size) missing.push(file)
  await checkSpace(folder, missing)
  let done = total - missing.reduce((sum, { size }) => sum + size, 0)
  const report = (bytes: number) =>
    options.onProgress?.({ label: `downloading ${named(reference)}`, done: bytes, total, unit: 'bytes' })
  for (const file of files) {
    if (missing.includes(file)) {
      await fetchFile(join(folder, 'blobs', file.hash), file, {
        request: (headers, signal) => request(repository, fileUrl(repository, commit, file), headers, signal),
        onBytes: (bytes) => report(done + bytes),
        signal: options.signal,
        retryDelay: options.retryDelay ?? 1000,
      })
      done += file.size
    }
    await link(join(folder, 'snapshots', commit, file.name), `../../blobs/${file.hash}`)
  }
}

function fileUrl({ settings, reference }: Repository, commit: string, file: HubFile): string {
  return `${settings.endpoint}/${reference.id}/resolve/${commit}/${encodeURIComponent(file.name)}`
}

async function checkSpace(folder: string, missing: HubFile[]): Promise<void> {
  let needed = 0
  for (const { hash, size } of missing)
    needed += size - ((await sizeOf(join(folder, 'blobs', `${hash}.incomplete`))) ?? 0)
  const { bavail, bsize } = await statfs(folder)
  if (needed <= bavail * bsize) return
  const megabytes = (bytes: number) => `${Math.ceil(bytes / 1e6)} MB`
  throw new BtError(
    'BT_DISK_FULL',
    `${folder}: ${megabytes(needed)} are needed, ${megabytes(bavail * bsize)} are free`,
    {
      remedy: 'Free some space, or point HF_HUB_CACHE to another disk.',
    },
  )
}

async function link(path: string, target: string): Promise<void> {
  await symlink(target, path).catch((error: unknown) => {
    if (!hasCode(error, 'EEXIST')) throw error
  })
}

async function writeRef({ folder, reference }: Repository, commit: string): Promise<void> {
  if (reference.revision === commit) return
  const path = join(folder, 'refs', reference.revision)
  await mkdir(dirname(path), { recursive: true })
  await writeFileAtomic(path, commit)
}

/** A request that is tried again after network errors and answers that pass (429, 5xx). */
async function retried(repository: Repository, url: string): Promise<Response> {
  const { signal, retryDelay = 1000 } = repository.options
  for (let attempt = 0; ; attempt++) {
    const timeout = AbortSignal.timeout(30_000)
    try {
      return await request(repository, url, {}, signal ? AbortSignal.any([signal, timeout]) : timeout)
    } catch (error) {
      signal?.throwIfAborted()
      if (error instanceof BtError) throw error
      if (attempt === 3) {
        throw new BtError('BT_HUB_NETWORK', `${url} cannot be reached: ${messageOf(causeOf(error))}`, {
          remedy: 'Check the network, HF_ENDPOINT and proxies, or give a local folder as --model.',
          cause: error,
        })
      }
      await new Promise((resolve) => setTimeout(resolve, retryDelay * 2 ** attempt))
    }
  }
}

/** @throws {BtError} for answers that trying again does not change, Error for those that it may */
async function request(
  { settings, reference }: Repository,
  url: string,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<Response> {
  // Identity: byte ranges of a compressed answer would not be those of the file.
  const all: Record<string, string> = { 'user-agent': 'bt-native', 'accept-encoding': 'identity', ...headers }
  if (settings.token !== undefined) all.authorization = `Bearer ${settings.token}`
  const response = await fetch(url, { headers: all, signal })
  if (response.ok) return response
  await response.body?.cancel()
  throw refusal(response, url, reference, settings)
}

function refusal({ status, headers }: Response, url: string, reference: HubReference, settings: HubSettings): Error {
  const reason = headers.get('x-error-code')
  const page = `${settings.endpoint}/${reference.id}`
  if (reason === 'GatedRepo' || status === 403) {
    return new BtError('BT_HUB_GATED', `${named(reference)} is gated: its terms must be accepted first`, {
      remedy: `Accept them at ${page}, then set HF_TOKEN to a token of that account.`,
    })
  }
  if (status === 401) {
    const why = settings.token === undefined ? 'no token is set' : 'the token is not accepted'
    return new BtError('BT_HUB_UNAUTHORIZED', `${named(reference)} does not exist, or is private and ${why}`, {
      remedy: 'Check the name; for a private model set HF_TOKEN.',
    })
  }
  if (status === 404) {
    const what = reason === 'RevisionNotFound' ? `has no revision "${reference.revision}"` : 'is not on the Hub'
    return new BtError('BT_MODEL_NOT_FOUND', `${reference.id} ${what} (${url}: 404)`)
  }
  return new Error(`${url}: HTTP status ${status}`)
}

/** A complete model among the snapshots, without asking the network. */
async function cachedModel({ folder, reference }: Repository): Promise<Downloaded | undefined> {
  const ref = await readIfThere(join(folder, 'refs', reference.revision))
  const commit = commitForm.test(reference.revision) ? reference.revision : ref?.trim()
  if (commit === undefined || !commitForm.test(commit)) return undefined
  const snapshot = join(folder, 'snapshots', commit)
  const names = await readdir(snapshot).catch(() => [])
  if (names.length === 0) return undefined
  let needed: Needed
  try {
    needed = neededFiles(reference.id, names)
  } catch (error) {
    if (error instanceof BtError) return undefined // a part of the model only, fetched by another program
    throw error
  }
  const weights = needed.weights ?? (await shardsOf(join(snapshot, indexFile)))
  const sizes = await Promise.all([...needed.small, ...weights].map((name) => sizeOf(join(snapshot, name))))
  return sizes.every((size) => size !== undefined) ? describe(snapshot, commit, needed) : undefined
}

/** Through links; undefined when there is nothing. */
async function sizeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ size }) => size,
    () => undefined,
  )
}

function named({ id, revision }: HubReference): string {
  return revision === 'main' ? id : `${id}@${revision}`
}
