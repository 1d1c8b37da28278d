// Writes a Hugging Face model folder: configuration, tokenizer and chat template as the base model has them, or made
// from what its GGUF file says; the weights as they come.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { writeFileAtomic } from '../files.js'
import { hfConfig, type SpecialIds, type TorchDtype } from './hf-config-write.js'
import { parseJson, readJsonIfThere } from './json-file.js'
import { type PlainTensor, writeShards } from './safetensors-write.js'
import type { ModelSource, TokenizerSource } from './types.js'

export interface FolderContent {
  /** The model whose configuration and tokenizer are written. */
  source: ModelSource
  dtype: TorchDtype
  tensors: readonly PlainTensor[]
  /** Bytes of one file of weights at most. */
  shardBytes?: number
}

/**
 * Writes into an existing, empty folder.
 * @returns names of the files
 * @throws {BtError} BT_EXPORT_UNSUPPORTED when no class of transformers' is that model; BT_DISK_FULL; what the tensors throw
 */
export async function writeHfFolder(folder: string, content: FolderContent): Promise<string[]> {
  const { source, dtype, tensors } = content
  const described = source.format === 'safetensors' ? await copyOf(source, dtype) : fromGguf(source, dtype)
  const names = await writeShards(folder, tensors, content.shardBytes)
  for (const name of described.copies) {
    await writeFileAtomic(join(folder, name), await readFile(join(source.path, name)))
  }
  for (const [name, text] of Object.entries(described.texts)) await writeFileAtomic(join(folder, name), text)
  return [...names, ...described.copies, ...Object.keys(described.texts)]
}

interface Described {
  /** Files of the base model's folder that are taken over. */
  copies: string[]
  /** Name -> content of those that are made. */
  texts: Record<string, string>
}

const pretty = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`

/** Tokenizer, chat template, generation defaults and licence of a folder. */
const copied =
  /^(tokenizer\.(json|model)|tokenizer_config\.json|special_tokens_map\.json|added_tokens\.json|vocab\.json|merges\.txt|chat_template\.(jinja|json)|generation_config\.json|(LICENSE|NOTICE)(\.\w+)?)$/

async function copyOf({ path }: ModelSource, dtype: TorchDtype): Promise<Described> {
  const config = await readJsonIfThere(join(path, 'config.json'), z.looseObject({}))
  // transformers 5 writes "dtype", before it "torch_dtype"; each reads both.
  const field = config !== undefined && 'dtype' in config ? 'dtype' : 'torch_dtype'
  const copies = (await readdir(path)).filter((name) => copied.test(name)).sort()
  return { copies, texts: { 'config.json': pretty({ ...config, [field]: dtype }) } }
}

function fromGguf({ config, tokenizer }: ModelSource, dtype: TorchDtype): Described {
  const parsed = parseJson('tokenizer.json', tokenizer.json, tokenizerSchema)
  const ids: SpecialIds = { bos: idOf(parsed, tokenizer.bosToken), eos: tokenizer.eosIds[0] }
  const texts: Record<string, string> = {
    'config.json': pretty(hfConfig(config, dtype, ids)),
    'generation_config.json': pretty({
      ...(ids.bos !== undefined && { bos_token_id: ids.bos }),
      ...(tokenizer.eosIds.length > 0 && { eos_token_id: tokenizer.eosIds }),
    }),
    'tokenizer.json': JSON.stringify({
      ...parsed,
      post_processor: tokenizer.addBos ? beginWith(ids, tokenizer) : null,
    }),
    'tokenizer_config.json': pretty({
      tokenizer_class: 'PreTrainedTokenizerFast',
      model_max_length: config.maxPositions,
      clean_up_tokenization_spaces: false,
      add_bos_token: tokenizer.addBos,
      bos_token: tokenizer.bosToken ?? null,
      eos_token: tokenizer.eosToken ?? null,
      unk_token: parsed.model.unk_token ?? null,
    }),
  }
  if (tokenizer.chatTemplate !== undefined) texts['chat_template.jinja'] = tokenizer.chatTemplate
  return { copies: [], texts }
}

const tokenizerSchema = z.looseObject({
  added_tokens: z.array(z.looseObject({ id: z.number().int(), content: z.string() })).nullish(),
  model: z.looseObject({
    // Tens of thousands of entries, of which one may be called "__proto__": not looked through.
    vocab: z.custom<Record<string, number>>((value) => typeof value === 'object' && value !== null),
    unk_token: z.string().nullish(),
  }),
})

function idOf({ added_tokens: added, model }: z.output<typeof tokenizerSchema>, text: string | undefined) {
  if (text === undefined) return undefined
  return added?.find(({ content }) => content === text)?.id ?? (model.vocab[text] as number | undefined)
}

/** tokenizer.json's way to put the begin-of-sequence token before each text. */
function beginWith({ bos }: SpecialIds, { bosToken }: TokenizerSource): object {
  const begin = { SpecialToken: { id: bosToken, type_id: 0 } }
  const text = (id: 'A' | 'B', type: number) => ({ Sequence: { id, type_id: type } })
  return {
    type: 'TemplateProcessing',
    single: [begin, text('A', 0)],
    pair: [begin, text('A', 0), text('B', 1)],
    special_tokens: { [bosToken!]: { id: bosToken, ids: [bos], tokens: [bosToken] } },
  }
}
