// An HTML page to blocks: its main text as Readability finds it, without menus, asides, footers and comments.
import { Readability } from '@mozilla/readability'
import { parseHTML } from 'linkedom'
import { type DomNode, domBlocks } from './html-blocks.js'
import { cleanMarkup } from './html-clean.js'
import type { Outline } from './markdown.js'

/** @returns title and blocks, the latter without any where there is no main text; or why the page is not to be read */
export function htmlOutline(content: string): Outline | { fault: string } {
  const cleaned = cleanMarkup(content)
  if ('fault' in cleaned) return cleaned
  const { document } = parseHTML(cleaned.markup)
  // The parser makes a text of each character reference; what finds the main text reads all of them over and over.
  document.documentElement.normalize()
  const article = new Readability<DomNode>(document as never, {
    serializer: (node) => node as unknown as DomNode,
    disableJSONLD: true, // scripts are gone
  }).parse()
  return {
    title: article?.title?.trim() || undefined,
    blocks: article?.content ? domBlocks(article.content, content.length) : [],
  }
}
