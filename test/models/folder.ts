// Makes model folders for the tests of test/models: configurations as transformers saves them, weights of zeros.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { BtError } from '../../src/errors.js'
import { writeSafetensors } from '../../src/models/safetensors.js'

export const fixtures = new URL('../fixtures/models/', import.meta.url).pathname
export const shared = new URL('../../../shared/', import.meta.url).pathname

export interface FamilyFixture {
  config: Record<string, unknown>
  generation: Record<string, unknown>
  /** Name -> shape, as transformers' state_dict() has them. */
  tensors: Record<string, number[]>
}

export async function readFixture<T>(name: string): Promise<T> {
  return JSON.parse(await readFile(join(fixtures, name), 'utf8')) as T
}

export function familyFixtures(): Promise<Record<string, FamilyFixture>> {
  return readFixture('families.json')
}

const made: string[] = []

/** A folder that is removed after the tests of the file. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'bt-models-'))
  made.push(folder)
  return folder
}

afterAll(async () => {
  for (const folder of made.splice(0)) await rm(folder, { recursive: true, force: true })
})

/** A tokenizer.json of three control tokens and two letters. */
export function tinyTokenizer(): Record<string, unknown> {
  const special = (id: number, content: string) => ({ id, content, special: true, single_word: false, lstrip: false })
  return {
    added_tokens: [special(0, '<|endoftext|>'), special(1, '<s>'), special(2, '</s>')],
    post_processor: null,
    model: { type: 'BPE', vocab: { '<|endoftext|>': 0, '<s>': 1, '</s>': 2, a: 3, b: 4 }, merges: [] },
  }
}

export interface FolderParts {
  /** Changes to the fixture. */
  config?: Record<string, unknown>
  tensors?: Record<string, number[]>
  /** Files beside; a value that is no text is written as JSON, undefined leaves the file out. */
  files?: Record<string, unknown>
  shards?: number
}

/** A Hugging Face folder with weights of zeros. */
export async function modelFolder(family: FamilyFixture, parts: FolderParts = {}): Promise<string> {
  const folder = join(await temporaryFolder(), 'model')
  await mkdir(folder)
  const files: Record<string, unknown> = {
    'config.json': { ...family.config, ...parts.config },
    'generation_config.json': family.generation,
    'tokenizer.json': tinyTokenizer(),
    ...parts.files,
  }
  for (const [name, content] of Object.entries(files)) {
    if (content === undefined) continue
    await writeFile(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content))
  }
  await writeWeights(folder, Object.entries(parts.tensors ?? family.tensors), parts.shards ?? 1)
  return folder
}

async function writeWeights(folder: string, tensors: [string, number[]][], shards: number): Promise<void> {
  const zeros = ([name, shape]: [string, number[]]) => {
    return { name, shape, data: new Float32Array(shape.reduce((product, size) => product * size, 1)) }
  }
  if (shards === 1) return writeSafetensors(join(folder, 'model.safetensors'), tensors.map(zeros), { format: 'pt' })
  const map: Record<string, string> = {}
  for (let shard = 0; shard < shards; shard++) {
    const file = `model-0000${shard + 1}-of-0000${shards}.safetensors`
    const mine = tensors.filter((_, i) => i % shards === shard)
    for (const [name] of mine) map[name] = file
    await writeSafetensors(join(folder, file), mine.map(zeros))
  }
  await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify({ weight_map: map }))
}

/** The BtError that `work` rejects with. */
export async function failureOf(work: Promise<unknown>): Promise<BtError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error instanceof BtError) return error
  throw new Error(`expected a BtError, not ${error}`)
}
