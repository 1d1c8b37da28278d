// GGUF's tokenizer metadata turned into a TokenizerSource. Files are read in gguf.ts.
import { BtError } from '../errors.js'
import { type AddedToken, bpeTokenizerJson } from './bpe-json.js'
import { endIds } from './end-tokens.js'
import { type Metadata, optional, required } from './gguf-metadata.js'
import { type Piece, pieceType, spmTokenizerJson } from './spm-json.js'
import { cachedTokenizer } from './tokenizer-cache.js'
import type { TokenizerSource } from './types.js'

/** The piece U+FEFF, which the GGUF library reads as a byte order mark and drops: the only piece that comes out empty. */
const bom = '\uFEFF'

/**
 * @throws {BtError} BT_TOKENIZER_UNKNOWN for a tokenizer or pre-tokenizer that is not known,
 * BT_GGUF when an entry is missing or has the wrong type
 */
export async function tokenizerFromGguf(metadata: Metadata): Promise<TokenizerSource> {
  const tokens = required(metadata, 'tokenizer.ggml.tokens', 'strings')
  const types = optional(metadata, 'tokenizer.ggml.token_type', 'numbers') ?? []
  const { json, addBos } = await tokenizerJson(metadata, tokens, types)
  const idOf = (key: string) => {
    const id = optional(metadata, `tokenizer.ggml.${key}_token_id`, 'number')
    return id !== undefined && id >= 0 && id < tokens.length ? id : undefined
  }
  const bos = idOf('bos')
  const eos = idOf('eos')
  const control = new Map(tokens.flatMap((text, id) => (types[id] === pieceType.control ? [[text, id]] : [])))
  const declared = [idOf('eot'), idOf('eom')].filter((id) => id !== undefined)
  return {
    json,
    chatTemplate: optional(metadata, 'tokenizer.chat_template', 'string'),
    bosToken: bos === undefined ? undefined : tokens[bos],
    eosToken: eos === undefined ? undefined : tokens[eos],
    eosIds: endIds(eos, declared, (token) => control.get(token)),
    addBos: bos !== undefined && (optional(metadata, 'tokenizer.ggml.add_bos_token', 'boolean') ?? addBos),
  }
}

async function tokenizerJson(metadata: Metadata, tokens: string[], types: number[]) {
  const model = required(metadata, 'tokenizer.ggml.model', 'string')
  if (model === 'gpt2') {
    const pre = optional(metadata, 'tokenizer.ggml.pre', 'string')
    if (pre === undefined) {
      throw new BtError('BT_TOKENIZER_UNKNOWN', 'no tokenizer.ggml.pre: how text is cut into words is not known', {
        remedy: 'Convert the model again with a llama.cpp of May 2024 or later, or use its Hugging Face folder.',
      })
    }
    const merges = required(metadata, 'tokenizer.ggml.merges', 'strings')
    return bpeTokenizerJson({ tokens, merges, added: addedTokens(tokens, types), pre })
  }
  if (model === 'llama') {
    const scores = required(metadata, 'tokenizer.ggml.scores', 'numbers')
    const pieces = tokens.map((text, i): Piece => ({ text: text || bom, score: scores[i] ?? 0, type: types[i] ?? 1 }))
    const dummyPrefix = optional(metadata, 'tokenizer.ggml.add_space_prefix', 'boolean') ?? true
    const key = JSON.stringify([pieces.map(({ text, score, type }) => [text, score, type]), dummyPrefix])
    return { json: await cachedTokenizer(key, () => spmTokenizerJson(pieces, dummyPrefix)), addBos: true }
  }
  throw new BtError('BT_TOKENIZER_UNKNOWN', `unknown tokenizer "${model}" (tokenizer.ggml.model)`, {
    remedy: "Known are gpt2 (byte-level BPE) and llama (SentencePiece). Use the model's Hugging Face folder instead.",
  })
}

function addedTokens(tokens: string[], types: number[]): AddedToken[] {
  return tokens.flatMap((content, id) => {
    const special = types[id] === pieceType.control
    return special || types[id] === pieceType.userDefined ? [{ id, content, special }] : []
  })
}
