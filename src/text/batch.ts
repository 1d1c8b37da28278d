// Gathers the texts that are to be encoded in one tick and hands them to the library together: it encodes a batch on all
// cores, but a single text on one, with a turn of the event loop for each.
import type { Encoding, Tokenizer as Library } from 'tokenizers'

interface Waiting {
  text: string
  resolve(encoding: Encoding): void
  reject(reason: unknown): void
}

/** Texts handed over at a time: bounds the memory of encodings that are not read yet. */
const batchSize = 256

/** `encode` of the library without added tokens, in batches. */
export function batchEncoder(library: Library): (text: string) => Promise<Encoding> {
  let waiting: Waiting[] = []

  async function encodeAll(): Promise<void> {
    const all = waiting
    waiting = []
    for (let start = 0; start < all.length; start += batchSize) {
      const batch = all.slice(start, start + batchSize)
      try {
        const encodings = await library.encodeBatch(
          batch.map(({ text }) => text),
          { addSpecialTokens: false },
        )
        for (const [i, { resolve }] of batch.entries()) resolve(encodings[i]!)
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
    }
  }

  return (text) =>
    new Promise((resolve, reject) => {
      if (waiting.length === 0) queueMicrotask(encodeAll)
      waiting.push({ text, resolve, reject })
    })
}
