// Texts cut into words, and words into numbers that compare quickly. Counting is for the other files.

/**
 * rouge_score's tokens (tokenize.py, no stemming): lower case, runs of a-z and 0-9; all else separates. Texts in other
 * scripts have none.
 */
export function rougeTokens(text: string): string[] {
  return text.toLowerCase().match(/[a-z0-9]+/g) ?? []
}

const anyScript =
  /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}]|(?:(?![\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}])[\p{L}\p{M}\p{N}])+/gu

/** Words of any script, lower case, without punctuation; in scripts without spaces (Chinese, Japanese) each sign. */
export function words(text: string): string[] {
  return text.toLowerCase().match(anyScript) ?? []
}

// Python's str.split() and str.rstrip(): not the same set as JavaScript's \s.
const pythonSpace = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000'
const spaces = new RegExp(`[${pythonSpace}]+`, 'g')
const nonSpaces = new RegExp(`[^${pythonSpace}]+`, 'g')
const trailingSpaces = new RegExp(`[${pythonSpace}]+$`)

/** Python's `text.split()`. */
export function splitSpaces(text: string): string[] {
  return text.match(nonSpaces) ?? []
}

/** Python's `''.join(text.split())`. */
export function removeSpaces(text: string): string {
  return text.replace(spaces, '')
}

/** Python's `text.rstrip()`. */
export function trimEnd(text: string): string {
  return text.replace(trailingSpaces, '')
}

/** Gives each word a number, from 0: comparing and counting numbers is quicker than texts. */
export class Vocabulary {
  private readonly ids = new Map<string, number>()

  /** Words that have a number. */
  get size(): number {
    return this.ids.size
  }

  /** -1 for a word that has none. */
  numberOf(token: string): number {
    return this.ids.get(token) ?? -1
  }

  /** Numbers of words, in order. */
  encode(tokens: readonly string[]): Int32Array {
    return Int32Array.from(tokens, (token) => {
      const known = this.ids.get(token)
      if (known !== undefined) return known
      this.ids.set(token, this.ids.size)
      return this.ids.size - 1
    })
  }
}
