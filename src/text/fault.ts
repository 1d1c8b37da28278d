// What the library of tokenizers throws, as an error for people.
import { BtError, messageOf } from '../errors.js'

/** BT_TOKENIZER: texts handed to the library are whole, so that what it refuses lies in the model's file. */
export function tokenizerFault(error: unknown): BtError {
  return new BtError('BT_TOKENIZER', `the model's tokenizer.json cannot be used: ${messageOf(error)}`, {
    remedy: "Fetch the model's files again, or use another conversion of the model.",
    cause: error,
  })
}
