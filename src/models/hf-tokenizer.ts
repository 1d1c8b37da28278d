// The tokenizer of a Hugging Face folder: tokenizer.json or tokenizer.model, chat template, begin and end tokens.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { BtError } from '../errors.js'
import { endIds } from './end-tokens.js'
import type { HfConfig } from './hf-config.js'
import { parseJson, readIfThere, readJsonIfThere } from './json-file.js'
import { tokenizerFromSentencePiece } from './sentencepiece.js'
import type { TokenizerSource } from './types.js'

/** A token is stored as its text or as an object that holds it. */
const tokenSchema = z
  .union([z.string(), z.looseObject({ content: z.string() })])
  .nullish()
  .transform((token) => (typeof token === 'object' ? (token?.content ?? undefined) : token))

const templatesSchema = z.union([z.string(), z.array(z.looseObject({ name: z.string(), template: z.string() }))])

const tokenizerConfigSchema = z.looseObject({
  bos_token: tokenSchema,
  eos_token: tokenSchema,
  add_bos_token: z.boolean().nullish(),
  chat_template: templatesSchema.nullish(),
})

const generationConfigSchema = z.looseObject({
  eos_token_id: z.union([z.number().int(), z.array(z.number().int())]).nullish(),
})

const tokenizerSchema = z.looseObject({
  added_tokens: z.array(z.looseObject({ id: z.number().int(), content: z.string(), special: z.boolean() })).nullish(),
  post_processor: z.unknown().optional(),
  model: z.looseObject({ vocab: z.unknown().optional() }),
})

type TokenizerJson = z.output<typeof tokenizerSchema>

/**
 * @throws {BtError} BT_TOKENIZER_MISSING when the folder has neither tokenizer.json nor tokenizer.model,
 * BT_TOKENIZER_UNKNOWN, BT_MODEL_CONFIG
 */
export async function readHfTokenizer(folder: string, config: HfConfig): Promise<TokenizerSource> {
  const settings = await readJsonIfThere(join(folder, 'tokenizer_config.json'), tokenizerConfigSchema)
  const generation = await readJsonIfThere(join(folder, 'generation_config.json'), generationConfigSchema)
  const stored = await readVocabulary(folder)
  const parsed = parseJson(join(folder, 'tokenizer.json'), stored.json, tokenizerSchema)
  const added = new Map((parsed.added_tokens ?? []).map(({ content, id }) => [content, id]))
  const special = new Map((parsed.added_tokens ?? []).flatMap((t) => (t.special ? [[t.content, t.id] as const] : [])))
  const idOf = (token: string | undefined) =>
    token === undefined ? undefined : (added.get(token) ?? vocabId(parsed, token))
  const textOf = (id: number | null | undefined) => [...added].find(([, other]) => other === id)?.[0]
  const declared = [...listOf(generation?.eos_token_id), ...listOf(config.eos_token_id)]
  const eosToken = settings?.eos_token ?? stored.eosToken ?? textOf(declared[0])
  // A tokenizer_config.json without bos_token says that there is none, whatever config.json's id is (Qwen2).
  const bosToken = settings ? (settings.bos_token ?? stored.bosToken) : (stored.bosToken ?? textOf(config.bos_token_id))
  return {
    json: stored.json,
    chatTemplate: await readChatTemplate(folder, settings?.chat_template),
    bosToken,
    eosToken,
    eosIds: endIds(idOf(eosToken), declared, (token) => special.get(token)),
    addBos: bosToken !== undefined && (settings?.add_bos_token ?? stored.addBos ?? postProcessorAdds(parsed, bosToken)),
  }
}

async function readVocabulary(folder: string): Promise<Partial<TokenizerSource> & { json: string }> {
  const json = await readIfThere(join(folder, 'tokenizer.json'))
  if (json !== undefined) return { json }
  const path = join(folder, 'tokenizer.model')
  if ((await readIfThere(path)) === undefined) {
    throw new BtError('BT_TOKENIZER_MISSING', `${folder}: neither tokenizer.json nor tokenizer.model`, {
      remedy: "Save the tokenizer with transformers' AutoTokenizer.save_pretrained into that folder.",
    })
  }
  try {
    return await tokenizerFromSentencePiece(await readFile(path))
  } catch (error) {
    if (!(error instanceof BtError)) throw error
    throw new BtError(error.code, `${path}: ${error.message}`, { remedy: error.remedy, cause: error })
  }
}

function vocabId(tokenizer: TokenizerJson, token: string): number | undefined {
  const vocab = tokenizer.model.vocab
  if (typeof vocab !== 'object' || vocab === null || Array.isArray(vocab) || !Object.hasOwn(vocab, token))
    return undefined
  return (vocab as Record<string, number>)[token]
}

function listOf(ids: number | number[] | null | undefined): number[] {
  return ids === null || ids === undefined ? [] : Array.isArray(ids) ? ids : [ids]
}

/** A template of the name "default" among several, else the first; separate files come after tokenizer_config.json. */
async function readChatTemplate(folder: string, inConfig: z.output<typeof templatesSchema> | null | undefined) {
  const separate = await readIfThere(join(folder, 'chat_template.jinja'))
  if (separate !== undefined) return separate
  const older = z.looseObject({ chat_template: templatesSchema })
  const templates = inConfig ?? (await readJsonIfThere(join(folder, 'chat_template.json'), older))?.chat_template
  if (templates === undefined || typeof templates === 'string') return templates
  return (templates.find(({ name }) => name === 'default') ?? templates[0])?.template
}

/** Sequences in one another; tokenizers have one or none. */
const deepestSequence = 20

/** Whether tokenizer.json itself puts `bos` before a text: a TemplateProcessing, alone or in a Sequence. */
function postProcessorAdds({ post_processor: processor }: TokenizerJson, bos: string): boolean {
  const step = z.looseObject({
    type: z.string(),
    single: z.array(z.unknown()).optional(),
    processors: z.array(z.unknown()).optional(),
  })
  const adds = (value: unknown, depth = 0): boolean => {
    const parsed = step.safeParse(value)
    if (!parsed.success || depth > deepestSequence) return false
    if (parsed.data.type === 'Sequence') return (parsed.data.processors ?? []).some((one) => adds(one, depth + 1))
    const first = z.looseObject({ SpecialToken: z.looseObject({ id: z.string() }) }).safeParse(parsed.data.single?.[0])
    return first.success && first.data.SpecialToken.id === bos
  }
  return adds(processor)
}
