// A page's markup to a smaller page that is safe to build a tree of: well-formed, bounded in depth and size, without
// scripts, styles and controls, and with the place of each block in the original markup.
import { Parser } from 'htmlparser2'

/** Attributes of blocks in the cleaned page: where the element began and ended in the original markup. */
export const fromAttribute = 'data-bt-from'
export const toAttribute = 'data-bt-to'

/** Elements in one another; deeper ones lose their tags and keep their text. */
const deepest = 200
/** Elements of a page; honest pages have a few thousand. */
export const mostElements = 50_000
/** Characters that are parsed between two looks at the number of elements. */
const stride = 1 << 16

const leftOut = new Set(
  'script style noscript template svg math iframe object embed canvas audio video button input select textarea dialog map'.split(
    ' ',
  ),
)
const inline = new Set(
  'a abbr b bdi bdo big br cite code data del dfn em font i img ins kbd label mark q rp rt ruby s samp small span strike strong sub sup time tt u var wbr'.split(
    ' ',
  ),
)
/** What stands in a page's head, wherever it was found. */
const inHead = new Set(['title', 'meta', 'link', 'base'])
/** Written once for each page, whatever it has of them. */
const frame = new Set(['html', 'head', 'body'])
const empty = new Set('area base br col embed hr img input link meta source track wbr'.split(' '))
/** What finding the main text looks at. */
const attributes = new Set(
  'id class href hidden aria-hidden aria-modal role rel itemprop property name content lang dir style datetime colspan rowspan start'.split(
    ' ',
  ),
)

/** @returns the cleaned markup, or why the page is not to be read */
export function cleanMarkup(markup: string): { markup: string } | { fault: string } {
  const writer = new Writer()
  const parser = new Parser(
    {
      onopentag: (name, attribs) => writer.open(name, attribs, parser.startIndex),
      ontext: (text) => writer.text(text),
      onclosetag: (_, implied) => writer.close(implied ? parser.startIndex : parser.endIndex + 1),
    },
    { lowerCaseTags: true, lowerCaseAttributeNames: true, recognizeSelfClosing: false },
  )
  for (let at = 0; at < markup.length; at += stride) {
    parser.write(markup.slice(at, at + stride))
    if (writer.elements > mostElements) return { fault: `has over ${mostElements.toLocaleString('en')} elements` }
  }
  parser.end()
  return { markup: writer.page() }
}

interface Open {
  name: string
  /** Index in the parts of the element's end; undefined where its tags are left out. */
  endPart?: number
  written: boolean
}

class Writer {
  elements = 0
  private readonly head: string[] = []
  private readonly body: string[] = []
  private frameAttributes = ''
  private readonly stack: Open[] = []
  private depth = 0
  /** Elements around that are left out with all that they hold, and elements around that belong to the head. */
  private hidden = 0
  private heads = 0

  open(name: string, attribs: Record<string, string>, from: number): void {
    this.elements++
    if (leftOut.has(name)) this.hidden++
    if (inHead.has(name)) this.heads++
    const isFit = this.hidden === 0 && this.depth < deepest && !frame.has(name)
    const written = isFit && /^[a-z][a-z0-9-]*$/.test(name)
    const open: Open = { name, written }
    this.stack.push(open)
    if (name === 'html') this.frameAttributes ||= attributesOf(attribs)
    if (!written) return
    this.depth++
    const { parts } = this
    parts.push(`<${name}${attributesOf(attribs)}`)
    if (inline.has(name)) parts.push('>')
    else {
      open.endPart = parts.length + 1
      parts.push(` ${fromAttribute}="${from}"`, '>')
    }
  }

  text(text: string): void {
    if (this.hidden === 0) this.parts.push(escapeText(text))
  }

  /** @param to where the element ends in the original markup */
  close(to: number): void {
    const open = this.stack.pop()
    if (!open) return
    if (leftOut.has(open.name)) this.hidden--
    if (open.written) {
      this.depth--
      if (open.endPart !== undefined) this.parts[open.endPart] = ` ${toAttribute}="${to}">`
      if (!empty.has(open.name)) this.parts.push(`</${open.name}>`)
    }
    if (inHead.has(open.name)) this.heads--
  }

  page(): string {
    const { frameAttributes, head, body } = this
    return `<!doctype html><html${frameAttributes}><head>${head.join('')}</head><body>${body.join('')}</body></html>`
  }

  private get parts(): string[] {
    return this.heads > 0 ? this.head : this.body
  }
}

function attributesOf(attribs: Record<string, string>): string {
  let text = ''
  for (const [name, value] of Object.entries(attribs)) {
    if (attributes.has(name)) text += ` ${name}="${escapeText(value).replaceAll('"', '&quot;')}"`
  }
  return text
}

function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
