// Where the Hub is, who asks, and where its cache lies, by the environment variables of Python's huggingface_hub.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheFolder, homeFolder } from '../paths.js'

export interface HubSettings {
  /** Without a slash at the end. */
  endpoint: string
  token?: string
  /** Nothing may be fetched. */
  offline: boolean
  /** Holds models--org--name folders. */
  cache: string
}

/** HF_ENDPOINT, HF_TOKEN or the token file, HF_HUB_OFFLINE, HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME. */
export async function hubSettings(env: NodeJS.ProcessEnv = process.env): Promise<HubSettings> {
  const user = homeFolder(env)
  const caches = env.XDG_CACHE_HOME || (user ? join(user, '.cache') : cacheFolder(env))
  const home = env.HF_HOME || join(caches, 'huggingface')
  return {
    endpoint: (env.HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, ''),
    token: env.HF_TOKEN?.trim() || env.HUGGING_FACE_HUB_TOKEN?.trim() || (await storedToken(env, home)),
    offline: isOn(env.HF_HUB_OFFLINE) || isOn(env.TRANSFORMERS_OFFLINE),
    cache: env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(home, 'hub'),
  }
}

async function storedToken(env: NodeJS.ProcessEnv, home: string): Promise<string | undefined> {
  const text = await readFile(env.HF_TOKEN_PATH || join(home, 'token'), 'utf8').catch(() => '') // none is fine
  return text.trim() || undefined
}

function isOn(value: string | undefined): boolean {
  return /^(1|on|yes|true)$/i.test(value ?? '')
}
