// A folder to a repository of the Hub, with the Hub's own library: made where it is not there, and of the files only those that
// are not there with the same content. The token goes to the Hub alone, and into no message.
import { openAsBlob } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { HubApiError } from '@huggingface/hub'
import { BtError, messageOf } from '../errors.js'
import { parseHubReference } from '../models/hub-id.js'
import { hubSettings } from '../models/hub-settings.js'
import type { OnProgress } from '../progress.js'
import { hubHash, type LocalFile, publishedFiles, type RepoType, typeOf } from './publish-files.js'

/** What is sent, and where to. */
export interface PublishOptions {
  /** Folder with a data set, an adapter or a model. */
  folder: string
  /** "org/name" */
  to: string
  /** Told from the folder where it is not given. */
  type?: RepoType | undefined
  /** A new repository is seen by its owners alone. */
  private?: boolean | undefined
  /** Default: HF_TOKEN, then the stored token of Python's huggingface_hub. */
  token?: string | undefined
  /** Tell what would be sent, and send nothing. */
  dryRun?: boolean | undefined
  /** Words of the commit. */
  message?: string | undefined
}

/** How to watch a publication and end it. */
export interface PublishControl {
  signal?: AbortSignal
  onProgress?: OnProgress
  /** Milliseconds before the first retry; doubled each time. */
  retryDelay?: number
  env?: NodeJS.ProcessEnv
}

/** What was sent, and where it stands now. */
export interface PublishSummary {
  /** Page of the repository. */
  url: string
  type: RepoType
  /** The repository was made by this call, or would be. */
  created: boolean
  sent: { path: string; bytes: number }[]
  /** Files that are there already with the same content. */
  unchanged: string[]
  dryRun: boolean
  commit?: string
}

/** Attempts of a request whose answer may be another the next time. */
const attempts = 5

/**
 * Sends a folder as one commit. Nothing is deleted. A call that broke off is repeated as it was: large files that arrived are
 * not sent again.
 * @throws {BtError} BT_USAGE for a wrong name; BT_DATA_FILE; BT_HUB_UNAUTHORIZED, BT_HUB_NETWORK, BT_HUB_OFFLINE,
 *   BT_INTERRUPTED
 */
export async function publish(options: PublishOptions, control: PublishControl = {}): Promise<PublishSummary> {
  const reference = parseHubReference(options.to)
  if (!reference || options.to.includes('@')) {
    throw new BtError('BT_USAGE', `--to ${options.to}: a name such as org/name was expected`)
  }
  const type = options.type ?? (await typeOf(options.folder))
  const local = await publishedFiles(options.folder, type)
  const hub = await connect(options, control)
  const repo = { type, name: reference.id }
  const url = `${hub.endpoint}/${type === 'dataset' ? 'datasets/' : ''}${reference.id}`
  try {
    const there = await hub.filesOf(repo)
    const changed = await changedFiles(local, there, control)
    const sent = changed.map(({ path, bytes }) => ({ path, bytes }))
    const unchanged = local.filter((file) => !changed.includes(file)).map(({ path }) => path)
    const summary = { url, type, created: there === undefined, sent, unchanged, dryRun: options.dryRun === true }
    if (options.dryRun) return summary
    hub.requireToken()
    if (!there) await hub.create(repo, options.private === true)
    if (changed.length === 0) return summary
    const message =
      options.message ?? `Add ${sent.length === 1 ? sent[0]!.path : `${sent.length} files`} with bt-native`
    return { ...summary, commit: await hub.commit(repo, changed, message) }
  } catch (error) {
    if (control.signal?.aborted) {
      throw new BtError('BT_INTERRUPTED', `${options.to}: publishing was interrupted before its commit`, {
        cause: error,
      })
    }
    throw hub.explained(error, url)
  }
}

/** Git's or LFS's hash of each file of a repository. */
type Remote = Map<string, { hash: string; large: boolean }>

async function changedFiles(local: LocalFile[], there: Remote | undefined, { signal, onProgress }: PublishControl) {
  const changed: LocalFile[] = []
  for (const [at, file] of local.entries()) {
    signal?.throwIfAborted()
    onProgress?.({ label: 'comparing', done: at, total: local.length, unit: 'files' })
    const before = there?.get(file.path)
    if (!before || (await hubHash(file, before.large)) !== before.hash) changed.push(file)
  }
  return changed
}

type Repo = { type: RepoType; name: string }

async function connect(options: PublishOptions, control: PublishControl) {
  const settings = await hubSettings(control.env)
  if (settings.offline) {
    throw new BtError('BT_HUB_OFFLINE', 'nothing can be published: HF_HUB_OFFLINE is set', { remedy: 'Unset it.' })
  }
  const token = options.token?.trim() || settings.token
  const { endpoint } = settings
  const library = await import('@huggingface/hub')
  const request = requestWith(endpoint, token, control)
  // The library takes tokens of huggingface.co alone; request() sets the header for any.
  const shared = { hubUrl: endpoint, fetch: request }
  return {
    endpoint,
    requireToken() {
      if (token) return
      throw new BtError('BT_HUB_UNAUTHORIZED', `${options.to}: there is no token to write with`, {
        remedy: 'Make one with the right to write in the settings of the Hub; set HF_TOKEN, or run: hf auth login',
      })
    },
    /** Undefined where there is no such repository. */
    async filesOf(repo: Repo): Promise<Remote | undefined> {
      const files: Remote = new Map()
      try {
        for await (const { type, path, oid, lfs } of library.listFiles({ ...shared, repo, recursive: true })) {
          if (type === 'file') files.set(path, { hash: lfs?.oid ?? oid ?? '', large: lfs !== undefined })
        }
        return files
      } catch (error) {
        const status = (error as Partial<HubApiError>).statusCode
        // The Hub does not tell strangers whether a repository is not there or private.
        if (status === 404 || (status === 401 && !token)) return undefined
        throw error
      }
    },
    async create(repo: Repo, hidden: boolean): Promise<void> {
      const visibility = hidden ? ('private' as const) : ('public' as const)
      await library.createRepo({ ...shared, repo, visibility, accessToken: 'hf_' }).catch((error: HubApiError) => {
        if (error.statusCode !== 409) throw error // somebody else made it meanwhile
      })
    },
    async commit(repo: Repo, files: LocalFile[], title: string): Promise<string | undefined> {
      const operations = await Promise.all(
        files.map(async ({ path, file }) => ({
          operation: 'addOrUpdate' as const,
          path,
          content: await openAsBlob(file),
        })),
      )
      const total = files.length
      const done = new Set<string>()
      const work = library.commitIter({
        ...shared,
        repo,
        operations,
        title,
        abortSignal: control.signal,
        useXet: false,
      })
      let next = await work.next()
      for (; !next.done; next = await work.next()) {
        const event = next.value
        if (event.event !== 'fileProgress' || event.state !== 'uploading' || event.progress < 1) continue
        done.add(event.path)
        control.onProgress?.({ label: 'sending', done: done.size, total, unit: 'files' })
      }
      return next.value?.commit.oid
    },
    explained: (error: unknown, url: string) => explained(error, url, token),
  }
}

/** fetch that sends the token to the Hub and to nobody else, and tries again where that may help. */
function requestWith(endpoint: string, token: string | undefined, { retryDelay = 1000, signal }: PublishControl) {
  return async (input: Parameters<typeof fetch>[0], init: RequestInit = {}): Promise<Response> => {
    const url = String(input instanceof Request ? input.url : input)
    const headers = new Headers(init.headers)
    headers.delete('Authorization')
    if (token && new URL(url).origin === new URL(endpoint).origin) headers.set('Authorization', `Bearer ${token}`)
    for (let attempt = 1; ; attempt++) {
      const last = attempt === attempts
      try {
        const response = await fetch(input, { ...init, headers })
        if (last || (response.status < 500 && response.status !== 429 && response.status !== 408)) return response
        await response.arrayBuffer() // lets the connection go
      } catch (error) {
        if (last || init.signal?.aborted || signal?.aborted) throw error
      }
      await sleep(retryDelay * 2 ** (attempt - 1), undefined, signal ? { signal } : {})
    }
  }
}

function explained(error: unknown, url: string, token: string | undefined): unknown {
  if (error instanceof BtError) return error
  const words = (token ? messageOf(error).replaceAll(token, '***') : messageOf(error)).split('\n', 1)[0]!
  const status = (error as Partial<HubApiError>).statusCode
  if (status === 401 || status === 403) {
    return new BtError('BT_HUB_UNAUTHORIZED', `${url}: the Hub refuses: ${words}`, {
      remedy: token
        ? 'The token needs the right to write there, and --to an account that it belongs to.'
        : 'Set HF_TOKEN.',
    })
  }
  if (status !== undefined || error instanceof TypeError) {
    const cause = (error as { cause?: unknown }).cause
    const why = cause instanceof Error ? `${words} (${messageOf(cause)})` : words
    return new BtError('BT_HUB_NETWORK', `${url}: ${why}`, {
      remedy: 'Run the same command again: files that arrived are not sent again.',
    })
  }
  return error
}
