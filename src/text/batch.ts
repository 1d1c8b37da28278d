// Gathers the texts that are to be encoded in one tick and hands them to the library together: it encodes a batch on all
// cores, but a single text on one, with a turn of the event loop for each.
import type { Encoding, Tokenizer as Library } from 'tokenizers'
import { tokenizerFault } from './fault.js'

interface Waiting {
  text: string
  /** Reads the ids at once: an encoding that is kept holds some 150 bytes a token outside of JavaScript's heap. */
  done(encoding: Encoding): void
  failed(reason: unknown): void
}

/** Encodes a text without added tokens and answers what `read` takes from it. */
export type Encode = <T>(text: string, read: (encoding: Encoding) => T) => Promise<T>

/** Texts handed over at a time: bounds the memory of encodings that are not read yet. */
const batchSize = 128

/** `encode` of the library, in batches; rejects with BT_TOKENIZER. */
export function batchEncoder(library: Library): Encode {
  let waiting: Waiting[] = []

  async function encodeAll(): Promise<void> {
    const all = waiting
    waiting = []
    for (let start = 0; start < all.length; start += batchSize) {
      const batch = all.slice(start, start + batchSize)
      try {
        const texts = batch.map(({ text }) => text)
        const encodings = await library.encodeBatch(texts, { addSpecialTokens: false })
        for (const [i, { done }] of batch.entries()) done(encodings[i]!)
      } catch (error) {
        const fault = tokenizerFault(error)
        for (const { failed } of batch) failed(fault)
      }
    }
  }

  return (text, read) =>
    new Promise((resolve, reject) => {
      if (waiting.length === 0) queueMicrotask(encodeAll)
      waiting.push({ text, done: (encoding) => resolve(read(encoding)), failed: reject })
    })
}
