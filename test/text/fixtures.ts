// Where the text tests get their models and expected ids from.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { openModel } from '../../src/models/open.js'
import { tokenizerFromSentencePiece } from '../../src/models/sentencepiece.js'
import type { TokenizerSource } from '../../src/models/types.js'
import { modelFolder } from '../../src/paths.js'
import { openTokenizer } from '../../src/text/tokenizer.js'
import type { Tokenizer } from '../../src/text/types.js'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const shared = here('../../../shared')

/** Data of these tests lies beside the package; why they are skipped where it does not. */
export const skipped = existsSync(shared) ? undefined : `no test data: ${shared} is missing`
if (skipped) console.warn(`skipped: ${skipped}`)

export const seedPath = `${shared}/data/oasst1_en_seed.jsonl`

export interface Opened {
  source: TokenizerSource
  tokenizer: Tokenizer
}

async function opened(source: TokenizerSource): Promise<Opened> {
  return { source, tokenizer: await openTokenizer(source) }
}

/** The demo model's file, where `bt-native setup --model smollm2-135m` has put it. */
const gguf = join(modelFolder('smollm2-135m'), 'model.gguf')

/** Why tests over the GGUF file are skipped where they are. */
export const skippedGguf = existsSync(gguf) ? undefined : `no demo model: ${gguf} is missing`
if (skippedGguf) console.warn(`skipped: ${skippedGguf}`)

/** SmolLM2-135M-Instruct as read from the demo model's GGUF file. */
export async function openSmollmGguf(): Promise<Opened> {
  return opened((await openModel('smollm2-135m')).tokenizer)
}

/** SmolLM2-135M-Instruct by its tokenizer.json, with the chat template of its GGUF file. */
export function openSmollm(): Promise<Opened> {
  return opened({
    json: readFileSync(`${shared}/models/smollm2-135m-instruct/tokenizer.json`, 'utf8'),
    chatTemplate: chats.smollm2.template,
    bosToken: '<|im_start|>',
    eosToken: '<|im_end|>',
    eosIds: [2],
    addBos: false,
  })
}

/** The SentencePiece vocabulary of Llama 2 and TinyLlama. */
export async function openLlama(): Promise<Opened> {
  return opened(await tokenizerFromSentencePiece(readFileSync(`${shared}/models/llama2/tokenizer.model`)))
}

type Name = 'smollm2' | 'llama2'

function readFixture<T>(name: string): T {
  return JSON.parse(gunzipSync(readFileSync(here(`../fixtures/text/${name}`))).toString()) as T
}

export interface IdsFixture extends Record<Name, number[][]> {
  texts: string[]
  /** Decoded texts, where they are not the text itself. */
  decoded: Record<Name, Record<number, string>>
}

export const ids = readFixture<IdsFixture>('ids.json.gz')

export interface ChatFixture {
  template: string
  rows: {
    messages: { role: 'system' | 'user' | 'assistant'; content: string }[]
    /** By add_generation_prompt. */
    ids: { true: number[]; false: number[] }
  }[]
}

export const chats = readFixture<Record<Name, ChatFixture>>('chat.json.gz')
