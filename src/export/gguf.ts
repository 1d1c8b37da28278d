// Everything of a GGUF file but its weights: hyperparameters, tokenizer, chat template, and where they come from.
import type { ExportType } from '../../binding.js'
import type { Located } from '../generate/load.js'
import { readGgufMetadata } from '../models/gguf.js'
import { type GgufHyperparameters, ggufHyperparameters } from '../models/gguf-hyperparameters.js'
import { entry, plainMetadata, type TypedMetadata } from '../models/gguf-metadata.js'
import { tokenizerFromGguf } from '../models/gguf-tokenizer.js'
import { ggufTokenizer } from '../models/gguf-vocabulary.js'
import type { ModelSource, OutgoingTensor } from '../models/types.js'
import { templateFromDescription } from '../text/template.js'
import { openTokenizer } from '../text/tokenizer.js'

/** `general.file_type`: llama.cpp's llama_ftype. */
const fileTypes: Readonly<Record<ExportType, number>> = { F32: 0, F16: 1, Q4_0: 2, Q8_0: 7, BF16: 32 }

/** Entries of a GGUF file that tell how it was stored, not what it is. */
const ofTheFile = /^general\.(file_type|quantization_version|alignment|quantized_by)$/

/**
 * @param name of the exported model, for people
 * @throws {BtError} BT_EXPORT_UNSUPPORTED, BT_TOKENIZER_UNKNOWN; BT_TEMPLATE_MISMATCH when the tokenizer would be another
 * one in the file
 */
export async function ggufDescription(located: Located, type: ExportType, name: string): Promise<GgufHyperparameters> {
  const { source } = located
  const { metadata, ...rest } = ggufHyperparameters(source.config)
  const kept: TypedMetadata = source.format === 'gguf' ? await ofSource(source) : await fromTokenizer(located)
  return {
    ...rest,
    metadata: {
      ...metadata,
      'general.type': entry.text('model'),
      ...kept,
      'general.name': entry.text(name),
      'general.file_type': entry.uint(fileTypes[type]),
      'general.quantization_version': entry.uint(2),
    },
  }
}

/** Tokenizer and description of a GGUF file, as they are. */
async function ofSource({ path }: ModelSource): Promise<TypedMetadata> {
  const metadata = await readGgufMetadata(path)
  return Object.fromEntries(
    Object.entries(metadata).filter(
      ([key]) =>
        key.startsWith('tokenizer.') ||
        (key.startsWith('general.') && key !== 'general.architecture' && !ofTheFile.test(key)),
    ),
  )
}

/** A tokenizer.json in GGUF's words, which must give the prompt that the adapter was trained with. */
async function fromTokenizer({ source, template }: Located): Promise<TypedMetadata> {
  const metadata = ggufTokenizer(source.tokenizer, source.config.vocabSize)
  const again = await tokenizerFromGguf(plainMetadata(metadata))
  await templateFromDescription(template.describe(), await openTokenizer(again), again)
  return metadata
}

/** rope_freqs.weight, which stands for Llama 3's rotary scaling. */
export function ropeTensor(factors: Float32Array): OutgoingTensor {
  async function* bytes() {
    yield new Uint8Array(factors.buffer, factors.byteOffset, factors.byteLength)
  }
  return { name: 'rope_freqs.weight', type: 'F32', shape: [factors.length], bytes }
}
