import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type PublishOptions, publish } from '../../src/dataset/publish.js'
import { runCli } from '../cli/run-cli.js'
import { folderWith } from '../data/fixture.js'
import { type HubServer, hubToken, openHubServer } from './hub-server.js'

const big = Buffer.alloc(300_000, 'large content. ')
let hub: HubServer
let folder: string
beforeEach(async () => {
  hub = await openHubServer()
  folder = await folderWith({
    'README.md': '# A set',
    'messages.jsonl': '{"messages":[]}\n',
    'data.parquet': big,
    'messages.jsonl.meta.json': '{}',
    '.lock': '',
  })
})
afterEach(() => hub.close())

const env = (more: NodeJS.ProcessEnv = {}) => ({
  HF_ENDPOINT: hub.url,
  HF_TOKEN: hubToken,
  HF_HOME: '/nowhere',
  ...more,
})
const send = (options: Partial<PublishOptions> = {}, more: NodeJS.ProcessEnv = {}) =>
  publish({ folder, to: 'org/name', ...options }, { env: env(more), retryDelay: 1 })
const asked = (part: string) => hub.requests.filter((line) => line.includes(part)).length

describe('a folder is published', () => {
  test('to a repository that is made, large files by LFS and the rest in the commit', async () => {
    expect(await send({ private: true })).toEqual({
      url: `${hub.url}/datasets/org/name`,
      type: 'dataset',
      created: true,
      sent: [
        { path: 'README.md', bytes: 7 },
        { path: 'data.parquet', bytes: 300_000 },
        { path: 'messages.jsonl', bytes: 16 },
      ],
      unchanged: [],
      dryRun: false,
      commit: 'c0ffee',
    })
    expect(hub.made).toEqual([{ name: 'name', organization: 'org', type: 'dataset', visibility: 'private' }])
    expect([...hub.files.keys()].toSorted()).toEqual(['README.md', 'data.parquet', 'messages.jsonl'])
    expect(hub.files.get('data.parquet')!.equals(big)).toBe(true)
    expect(hub.objects).toHaveLength(1)
  })

  test('once: what is there with the same content is not sent again', async () => {
    await send()
    const before = hub.requests.length
    expect(await send()).toMatchObject({
      created: false,
      sent: [],
      unchanged: ['README.md', 'data.parquet', 'messages.jsonl'],
    })
    expect(hub.requests.slice(before)).toEqual(['GET /api/datasets/org/name/tree/main?recursive=true&expand=false'])
    await writeFile(join(folder, 'README.md'), '# Another')
    expect(await send()).toMatchObject({ sent: [{ path: 'README.md' }], unchanged: ['data.parquet', 'messages.jsonl'] })
    expect(hub.files.get('README.md')!.toString()).toBe('# Another')
    expect(asked('/upload/')).toBe(1)
  })

  test('though the storage fails at first', async () => {
    hub.failures.push({ request: 'PUT /upload/', status: 500, times: 2 })
    await send()
    expect(asked('/upload/')).toBe(3)
    expect(hub.files.get('data.parquet')!.equals(big)).toBe(true)
  })

  test('after a call that broke off without large files that had arrived', async () => {
    hub.failures.push({ request: 'POST /api/datasets/org/name/commit', status: 503, times: 5 })
    await expect(send()).rejects.toMatchObject({ code: 'BT_HUB_NETWORK', remedy: expect.stringContaining('again') })
    expect(hub.files).toHaveLength(0)
    expect(await send()).toMatchObject({ created: false, commit: 'c0ffee' })
    expect(asked('/upload/')).toBe(1)
  })

  test('to a repository that somebody made meanwhile', async () => {
    hub.failures.push({ request: 'POST /api/repos/create', status: 409, times: 1 })
    expect((await send()).commit).toBe('c0ffee')
  })

  test('as an adapter with what loads it, and no texts of its training', async () => {
    const adapter = await folderWith({
      'adapter_config.json': '{}',
      'adapter_model.safetensors': big,
      'bt_native.json': '{}',
      'samples.jsonl': 'x',
      'report.html': 'x',
    })
    await mkdir(join(adapter, 'checkpoint-5'))
    await writeFile(join(adapter, 'checkpoint-5', 'adapter_model.safetensors'), big)
    expect(await send({ folder: adapter })).toMatchObject({
      url: `${hub.url}/org/name`,
      type: 'model',
      sent: [{ path: 'adapter_config.json' }, { path: 'adapter_model.safetensors' }, { path: 'bt_native.json' }],
    })
  })
})

describe('the token', () => {
  test('goes to the Hub alone', async () => {
    await send()
    for (const [line, authorization] of hub.tokens) {
      expect(authorization, line).toBe(line.startsWith('PUT /upload/') ? undefined : `Bearer ${hubToken}`)
    }
  })

  test('is needed to write, and its absence told before anything is made', async () => {
    await expect(send({}, { HF_TOKEN: '' })).rejects.toMatchObject({
      code: 'BT_HUB_UNAUTHORIZED',
      remedy: expect.stringContaining('HF_TOKEN'),
    })
    expect(hub.requests).toHaveLength(1)
  })

  test('is taken from the stored one of huggingface_hub', async () => {
    const home = await folderWith({ token: `${hubToken}\n` })
    expect((await send({}, { HF_TOKEN: '', HF_HOME: home })).commit).toBe('c0ffee')
  })

  test('stands in no message, whatever the Hub says', async () => {
    hub.failures.push({
      request: 'POST /api/repos/create',
      status: 403,
      times: 1,
      body: JSON.stringify({ error: `bad token ${hubToken}` }),
    })
    const error = await send().catch((thrown: Error) => thrown)
    expect(error).toMatchObject({ code: 'BT_HUB_UNAUTHORIZED', message: expect.stringContaining('bad token ***') })
    const { stdout, stderr, code } = await runCli(['publish', folder, '--to', 'org/name', '--token', 'hf_wrongOne'], {
      env: env(),
    })
    expect({ code, said: `${stdout}${stderr}` }).toEqual({
      code: 1,
      said: expect.stringContaining('BT_HUB_UNAUTHORIZED'),
    })
    expect(`${stdout}${stderr}`).not.toContain('hf_wrongOne')
  })
})

test('a dry run says what would be sent and sends nothing', async () => {
  expect(await send({ dryRun: true }, { HF_TOKEN: '' })).toMatchObject({
    created: true,
    dryRun: true,
    sent: [{ path: 'README.md' }, {}, {}],
  })
  expect(hub.requests.filter((line) => !line.startsWith('GET'))).toEqual([])
  const { stdout, stderr, code } = await runCli(['publish', folder, '--to', 'org/name', '--dry-run'], { env: env() })
  expect({ stdout, code }).toEqual({ stdout: '', code: 0 })
  expect(stderr).toMatch(
    /would send {2}data\.parquet 300 kB\n[\s\S]*the dataset would be made\nnothing was sent; without --dry-run 3 files, 300 kB would go to http/,
  )
})

test('the command says where the repository is, and nothing else on stdout', async () => {
  const { stdout, stderr, code } = await runCli(['publish', folder, '--to', 'org/name'], { env: env() })
  expect({ stdout, code }).toEqual({ stdout: '', code: 0 })
  expect(stderr).toMatch(
    /sent {2}README\.md 7 B\n[\s\S]*made the dataset\ndone\. 3 files, 300 kB at http.*\/datasets\/org\/name\n$/,
  )
})

test.each([
  [{ to: 'no-slash' }, 'BT_USAGE'],
  [{ to: 'org/name@main' }, 'BT_USAGE'],
  [{ folder: '/nowhere/at/all' }, 'BT_DATA_FILE'],
])('%o is refused', async (options, code) => {
  await expect(send(options)).rejects.toMatchObject({ code })
  expect(hub.requests).toEqual([])
})

test('an unreachable Hub is told as such', async () => {
  await expect(send({}, { HF_ENDPOINT: 'http://127.0.0.1:9' })).rejects.toMatchObject({ code: 'BT_HUB_NETWORK' })
  await expect(send({}, { HF_HUB_OFFLINE: '1' })).rejects.toMatchObject({ code: 'BT_HUB_OFFLINE' })
})

test('the docs name what goes', async () => {
  expect(await readFile(new URL('../../docs/publishing.md', import.meta.url), 'utf8')).toContain('## Publishing')
})
