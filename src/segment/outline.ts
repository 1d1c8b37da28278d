// A document to its title and blocks, by what it is written in.
import { normaliseText } from '../data/normalise.js'
import { BtError, messageOf } from '../errors.js'
import { htmlOutline } from './html.js'
import { markdownOutline, type Outline } from './markdown.js'
import { plainBlocks } from './plain.js'
import type { CorpusDocument } from './types.js'

/** @returns the blocks, none where there is no main text; or why the document cannot be taken apart */
export function outlineOf({ kind, content }: Pick<CorpusDocument, 'kind' | 'content'>): Outline | { fault: string } {
  try {
    if (kind === 'html') return htmlOutline(content)
    return kind === 'markdown' ? markdownOutline(content) : { blocks: plainBlocks(content) }
  } catch (error) {
    if (error instanceof BtError) throw error
    // What hostile markup makes of a parser that was not written for it: the stack ends, or a part is not there.
    return {
      fault: error instanceof RangeError ? 'is nested too deeply' : `cannot be taken apart: ${messageOf(error)}`,
    }
  }
}

/** The title that came with a document, or else the one that stands in it, on one line. */
export function titleOf({ title }: { title?: string | undefined }, outline: Outline): string | null {
  const found = normaliseText(title ?? outline.title ?? '').replace(/\s+/g, ' ')
  return found === '' ? null : found
}
