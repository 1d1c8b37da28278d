// Wheels for one set-up: from beside a local wheel, from the downloads that an earlier run kept, or from the index.
import { rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { hasCode } from '../errors.js'
import type { OnProgress } from '../progress.js'
import { downloadWheel, findPip, findWheel, type Pip, type WheelSpec } from './pip.js'
import { readMetadata, type UnpackedFile, unpackedSize, unpackWheel } from './wheel.js'

export interface FetcherOptions {
  /** Where downloaded wheels are kept until the set-up is complete. */
  downloads: string
  /** A folder of the user's with wheels, looked at first and never written to. */
  local?: string
  env: NodeJS.ProcessEnv
  onProgress?: OnProgress
  signal?: AbortSignal
}

/** Gets wheels one at a time. A kept download that turns out broken is fetched once more; a user's file is not touched. */
export class WheelFetcher {
  private pip: Promise<Pip> | undefined

  constructor(private readonly options: FetcherOptions) {}

  /** @returns the wheel's path */
  async fetch(spec: WheelSpec): Promise<string> {
    if (spec.path) return spec.path
    const { local, downloads, env, onProgress, signal } = this.options
    const kept = await findWheel(spec, local ? [local, downloads] : [downloads])
    if (kept) return kept
    this.pip ??= findPip(env)
    return downloadWheel(await this.pip, spec, { folder: downloads, env, onProgress, signal })
  }

  /** METADATA of the wheel. */
  metadata(spec: WheelSpec): Promise<string> {
    return this.retrying(spec, readMetadata)
  }

  /**
   * Unpacks from each wheel the members that `place` gives a place to, verified against the wheel's RECORD.
   * @param label what the progress says
   */
  async unpack(
    label: string,
    specs: WheelSpec[],
    folder: string,
    place: (member: string) => string | undefined,
  ): Promise<UnpackedFile[]> {
    const { onProgress, signal } = this.options
    let total = 0
    for (const spec of specs) total += await this.retrying(spec, (path) => unpackedSize(path, place))
    let done = 0
    const onBytes = (bytes: number) => {
      done += bytes
      onProgress?.({ label, done: Math.min(done, total), total, unit: 'bytes' })
    }
    const files: UnpackedFile[] = []
    for (const spec of specs) {
      files.push(...(await this.retrying(spec, (path) => unpackWheel(path, { folder, place, onBytes, signal }))))
    }
    return files
  }

  private async retrying<T>(spec: WheelSpec, use: (path: string) => Promise<T>): Promise<T> {
    const path = await this.fetch(spec)
    try {
      return await use(path)
    } catch (error) {
      const ours = !spec.path && dirname(path) === this.options.downloads
      if (!ours || !hasCode(error, 'BT_WHEEL_BROKEN')) throw error
      await rm(path, { force: true })
      return use(await this.fetch(spec))
    }
  }
}
