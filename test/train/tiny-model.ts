// A Llama of a few thousand random weights with a byte-level tokenizer and a chat template, and rows to train it on:
// everything real but the size.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeSafetensors } from '../../src/models/safetensors.js'

const hidden = 32
const intermediate = 48
const layers = 2
const heads = 4
const kvHeads = 2
const headDim = 8

/**
 * Writes a Hugging Face folder that openModel reads. The same seed gives the same weights.
 * @param infiniteToken a sign whose embedding is infinite
 */
export async function writeTinyModel(
  folder: string,
  seed = 1,
  { infiniteToken }: { infiniteToken?: string } = {},
): Promise<string> {
  await mkdir(folder, { recursive: true })
  const tokens = byteAlphabet()
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]))
  const special = ['<|im_start|>', '<|im_end|>']
  const json = (name: string, value: object) => writeFile(join(folder, name), JSON.stringify(value))
  await json('config.json', {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    vocab_size: tokens.length + special.length,
    hidden_size: hidden,
    intermediate_size: intermediate,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    head_dim: headDim,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    max_position_embeddings: 1024,
    tie_word_embeddings: true,
    eos_token_id: tokens.length + 1,
    torch_dtype: 'float32',
  })
  await json('tokenizer.json', {
    version: '1.0',
    added_tokens: special.map((content, index) => ({
      id: tokens.length + index,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { type: 'BPE', dropout: null, unk_token: null, fuse_unk: false, byte_fallback: false, vocab, merges: [] },
  })
  await json('tokenizer_config.json', {
    eos_token: '<|im_end|>',
    chat_template:
      "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
  })
  const tensors = randomTensors(tokens.length + special.length, seed)
  const broken = infiniteToken === undefined ? -1 : tokens.indexOf(infiniteToken)
  if (broken >= 0) tensors[0]!.data.fill(Number.POSITIVE_INFINITY, broken * hidden, (broken + 1) * hidden)
  await writeSafetensors(join(folder, 'model.safetensors'), tensors, { format: 'pt' })
  return folder
}

/** GPT-2's 256 characters that stand for the bytes. */
function byteAlphabet(): string[] {
  const plain = (byte: number) =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255)
  let next = 256
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(plain(byte) ? byte : next++))
}

function randomTensors(vocab: number, seed: number) {
  const random = normal(seed)
  const tensor = (name: string, ...shape: number[]) => {
    const size = shape.reduce((product, length) => product * length, 1)
    const scale = shape.length === 1 ? 0 : 0.5 / Math.sqrt(shape[1]!) + 0.05
    const data = Float32Array.from({ length: size }, () => (shape.length === 1 ? 1 : random() * scale))
    return { name, shape, data }
  }
  const layer = (index: number) => {
    const at = `model.layers.${index}`
    return [
      tensor(`${at}.input_layernorm.weight`, hidden),
      tensor(`${at}.post_attention_layernorm.weight`, hidden),
      tensor(`${at}.self_attn.q_proj.weight`, heads * headDim, hidden),
      tensor(`${at}.self_attn.k_proj.weight`, kvHeads * headDim, hidden),
      tensor(`${at}.self_attn.v_proj.weight`, kvHeads * headDim, hidden),
      tensor(`${at}.self_attn.o_proj.weight`, hidden, heads * headDim),
      tensor(`${at}.mlp.gate_proj.weight`, intermediate, hidden),
      tensor(`${at}.mlp.up_proj.weight`, intermediate, hidden),
      tensor(`${at}.mlp.down_proj.weight`, hidden, intermediate),
    ]
  }
  return [
    tensor('model.embed_tokens.weight', vocab, hidden),
    ...Array.from({ length: layers }, (_, index) => layer(index)).flat(),
    tensor('model.norm.weight', hidden),
  ]
}

/** Normal numbers from a 32-bit generator and Box and Muller's transform. */
function normal(seed: number): () => number {
  let state = seed >>> 0
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state + 0.5) / 2 ** 32
  }
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform())
}

/** Rows with an instruction that can be learned from the response, of different lengths. */
export function tinyPairs(count: number): { instruction: string; response: string }[] {
  const things = ['tea', 'bread', 'rain', 'snow', 'maps', 'kites', 'bees', 'salt']
  return Array.from({ length: count }, (_, index) => {
    const thing = things[index % things.length]!
    return {
      instruction: `Tell me of ${thing} ${index}.`,
      response: `${thing} ${'is good. '.repeat(1 + (index % 5))}${index}`,
    }
  })
}

/** As JSONL. */
export async function writeRows(path: string, rows: object[]): Promise<string> {
  await writeFile(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  return path
}
