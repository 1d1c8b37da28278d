// Which ids end a turn or the text, by one rule for every format, so that the same model read from GGUF and from a
// Hugging Face folder stops at the same tokens.

/** Control tokens that end a turn or a text wherever a vocabulary has them. */
export const endNames: readonly string[] = [
  '<|im_end|>',
  '<|endoftext|>',
  '<|eot_id|>',
  '<|eom_id|>',
  '<|end_of_text|>',
]

/**
 * @param first the tokenizer's own end token, which comes first
 * @param declared other end ids that the model's files name
 * @param idOf id of a control token, undefined when the vocabulary has none of that name
 */
export function endIds(
  first: number | undefined,
  declared: readonly number[],
  idOf: (token: string) => number | undefined,
): number[] {
  const named = endNames.map(idOf).filter((id) => id !== undefined)
  const rest = new Set([...declared, ...named].sort((a, b) => a - b))
  if (first === undefined) return [...rest]
  rest.delete(first)
  return [first, ...rest]
}
