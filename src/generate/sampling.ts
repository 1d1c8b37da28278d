// Options of sampling as the native sampler takes them, and as the output's record names them.
import type { SamplerOptions, StopTexts } from '../../binding.js'
import { BtError } from '../errors.js'
import type { PromptTemplate, Tokenizer } from '../text/types.js'
import type { GenerateOptions } from './options.js'

/** Temperature towards which the guard warms up where it writes again what was written greedily, unless another is given. */
const usualTemperature = 0.7

export function isGreedy({ greedy, temperature }: Pick<GenerateOptions, 'greedy' | 'temperature'>): boolean {
  return greedy || temperature === 0
}

/** Greedy writing would give the same again: attempts after the first are sampled. */
export function retryTemperature(options: GenerateOptions): number | undefined {
  return isGreedy(options) ? options.temperature || usualTemperature : undefined
}

/** Attempts after which the guard has warmed up to its temperature: the first of them stay near the greedy text. */
const warmUp = 3

/** The last attempts go on to 1, the model's own distribution. @param attempt from 1: the first after the greedy one */
export function attemptTemperature(usual: number, attempt: number): number {
  return Math.min(Math.max(usual, 1), (usual * attempt) / warmUp)
}

/** @throws {BtError} BT_USAGE for a token that the model has not */
export async function samplerOptions(
  options: GenerateOptions,
  { template, tokenizer }: { template: Pick<PromptTemplate, 'stopTokens'>; tokenizer: Tokenizer },
): Promise<SamplerOptions> {
  const { topK, topP, minP, typicalP, seed, maxTokens, maxNewTokens } = options
  const { repetitionPenalty, presencePenalty, frequencyPenalty, uniqueNgram, stop = [], stopTokens = [] } = options
  const ends = await Promise.all(stopTokens.map((token) => tokenOf(token, tokenizer)))
  const bias = Object.entries(options.logitBias ?? {})
  return {
    temperature: isGreedy(options) ? 0 : options.temperature,
    ...{ topK, topP, minP, typicalP, seed },
    ...{ repetitionPenalty, presencePenalty, frequencyPenalty, noRepeatNgram: uniqueNgram },
    logitBias: bias.map(([token, amount]) => ({
      token: known(Number(token), '--logit-bias', tokenizer),
      bias: amount,
    })),
    maxSequences: options.batchSize,
    maxTokens: maxTokens + maxNewTokens,
    stopTokens: [...new Set([...template.stopTokens, ...ends])],
    ...(stop.length > 0 ? { stopTexts: stopTexts(stop, tokenizer) } : {}),
    ...engineOptions(options),
  }
}

/** How the sampler computes: of all this only the weights' roundings can change a row's text. */
function engineOptions({ weights, keepAdapter, cacheMemory, lookup }: GenerateOptions) {
  return { weights, keepAdapter, cacheBytes: cacheMemory && Math.round(cacheMemory * 1e9), lookup }
}

/** A token by its id, or by its text, which must be that of one token. */
async function tokenOf(token: string | number, tokenizer: Tokenizer): Promise<number> {
  if (/^\d+$/.test(`${token}`)) return known(Number(token), '--stop-tokens', tokenizer)
  const ids = await tokenizer.encodeTemplate(`${token}`)
  if (ids.length === 1) return ids[0]!
  throw new BtError('BT_USAGE', `--stop-tokens: "${token}" is ${ids.length} tokens of this model, not one`, {
    remedy: 'Name a token by its id, or a text with --stop.',
  })
}

function known(token: number, flag: string, { vocabSize }: Tokenizer): number {
  if (token < vocabSize) return token
  throw new BtError('BT_USAGE', `${flag}: there is no token ${token}; the model has ${vocabSize}`)
}

/** Texts are found in the bytes that tokens add, wherever their ends fall. */
function stopTexts(texts: string[], tokenizer: Tokenizer): StopTexts {
  const parts = Array.from({ length: tokenizer.vocabSize }, (_, id) => tokenizer.tokenBytes(id))
  const tokenStart = new Int32Array(parts.length + 1)
  for (const [id, part] of parts.entries()) tokenStart[id + 1] = tokenStart[id]! + part.length
  return { texts, bytes: Uint8Array.from(Buffer.concat(parts)), tokenStart }
}
