// A tree of HTML elements to blocks of text: headings, paragraphs, lists, tables and code as Markdown writes them.
import { fromAttribute, toAttribute } from './html-clean.js'
import type { Block } from './types.js'

/** What is needed of the document object model. */
export interface DomNode {
  nodeType: number
  nodeName: string
  childNodes: Iterable<DomNode>
  textContent: string | null
  getAttribute?(name: string): string | null
}

const textNode = 3
const elementNode = 1

const inline = new Set(
  'A ABBR B BDI BDO BIG BR CITE CODE DATA DEL DFN EM FONT I INS KBD LABEL MARK Q RUBY S SAMP SMALL SPAN STRIKE STRONG SUB SUP TIME TT U VAR WBR'.split(
    ' ',
  ),
)
const leftOut = new Set('IMG HR FIGURE PICTURE SOURCE RP RT STYLE SCRIPT LINK META NAV FOOTER'.split(' '))

type Span = { from: number; to: number }

/** @param length of the document, for what has no place of its own */
export function domBlocks(root: DomNode, length: number): Block[] {
  const walker = new Walker()
  walker.container(root, { from: 0, to: length })
  return walker.blocks
}

class Walker {
  readonly blocks: Block[] = []
  /** Text between blocks, not yet a block. */
  private loose = ''

  /** Blocks of an element that holds others. */
  container(node: DomNode, around: Span): void {
    const span = spanOf(node) ?? around
    for (const child of node.childNodes) {
      if (child.nodeType === textNode || inline.has(nameOf(child))) this.loose += inlineText(child)
      else if (child.nodeType === elementNode && !leftOut.has(nameOf(child))) {
        this.endLoose(span)
        this.block(child, span)
      }
    }
    this.endLoose(span)
  }

  private block(node: DomNode, around: Span): void {
    const name = nameOf(node)
    const span = spanOf(node) ?? spanInside(node) ?? around
    if (/^H[1-6]$/.test(name)) this.heading(node, Number(name[1]), span)
    else if (name === 'PRE') this.code(node, span)
    else if (name === 'UL' || name === 'OL') this.push('lines', listLines(node, 0).join('\n'), span)
    else if (name === 'TABLE' && !isLayout(node)) this.push('lines', tableLines(node).join('\n'), span)
    else if (name === 'BLOCKQUOTE') this.quote(node, span)
    else if (name === 'P') this.prose(inlineText(node), span)
    else this.container(node, span)
  }

  private heading(node: DomNode, level: number, { from, to }: Span): void {
    const text = squeeze(node.textContent ?? '')
      .replaceAll('\n', ' ')
      .replace(/\s*\[edit\]$|\s*[¶#]$/i, '')
      .trim()
    if (text !== '') this.blocks.push({ kind: 'heading', level, text, from, to })
  }

  private code(node: DomNode, span: Span): void {
    const text = (node.textContent ?? '').replace(/^\s*\n|\s+$/g, '')
    const fence = text.includes('```') ? '````' : '```'
    if (text !== '') this.push('whole', `${fence}\n${text}\n${fence}`, span)
  }

  private quote(node: DomNode, span: Span): void {
    const inner = new Walker()
    inner.container(node, span)
    for (const { kind, text, from, to } of inner.blocks) {
      this.push(kind === 'whole' ? 'whole' : 'lines', text.replace(/^/gm, '> '), { from, to })
    }
  }

  private endLoose(span: Span): void {
    const text = this.loose
    this.loose = ''
    this.prose(text, span)
  }

  /** Two line breaks part paragraphs. */
  private prose(text: string, span: Span): void {
    for (const paragraph of squeeze(text).split(/\n{2,}/)) this.push('prose', paragraph, span)
  }

  private push(kind: Block['kind'], text: string, { from, to }: Span): void {
    if (text.trim() !== '') this.blocks.push({ kind, text: kind === 'whole' ? text : text.trim(), from, to })
  }
}

/** The name in capitals. */
function nameOf(node: DomNode): string {
  return node.nodeName.toUpperCase()
}

function spanOf(node: DomNode): Span | undefined {
  const from = node.getAttribute?.(fromAttribute)
  const to = node.getAttribute?.(toAttribute)
  return from && to ? { from: Number(from), to: Number(to) } : undefined
}

/** Of an element that Readability made, the places of what it put there. */
function spanInside(node: DomNode): Span | undefined {
  let found: Span | undefined
  for (const child of node.childNodes) {
    const span = child.nodeType === elementNode ? (spanOf(child) ?? spanInside(child)) : undefined
    if (span) found = { from: Math.min(span.from, found?.from ?? span.from), to: Math.max(span.to, found?.to ?? 0) }
  }
  return found
}

/** Text with "\n" for <br> and backticks around code; white space is not yet squeezed. */
function inlineText(node: DomNode): string {
  if (node.nodeType === textNode) return (node.textContent ?? '').replace(/[ \t\n\f\r]+/g, ' ')
  const name = nameOf(node)
  if (node.nodeType !== elementNode || leftOut.has(name)) return ''
  if (name === 'BR') return '\n'
  let text = ''
  for (const child of node.childNodes) text += inlineText(child)
  if (name === 'SUP' && /^\s*\[[\w ]{1,12}\]\s*$/.test(text)) return '' // a footnote's mark
  if ((name === 'CODE' || name === 'KBD' || name === 'SAMP') && text.trim() !== '') return `\`${text.trim()}\``
  return inline.has(name) ? text : ` ${text} `
}

function squeeze(text: string): string {
  return text
    .replace(/[ \t]+/g, ' ')
    .replace(/ ?\n ?/g, '\n')
    .trim()
}

/** "- one", "1. one", two spaces more for each level. */
function listLines(list: DomNode, level: number): string[] {
  const lines: string[] = []
  let number = Number(list.getAttribute?.('start') ?? 1) || 1
  for (const item of list.childNodes) {
    const name = nameOf(item)
    if (name === 'UL' || name === 'OL') lines.push(...listLines(item, level + 1))
    if (name !== 'LI') continue
    let own = ''
    const nested: string[] = []
    for (const child of item.childNodes) {
      const childName = nameOf(child)
      if (childName === 'UL' || childName === 'OL') nested.push(...listLines(child, level + 1))
      else own += inlineText(child)
    }
    const text = squeeze(own).replaceAll('\n', ' ')
    const marker = nameOf(list) === 'OL' ? `${number}.` : '-'
    if (text !== '') {
      lines.push(`${'  '.repeat(level)}${marker} ${text}`)
      number++
    }
    lines.push(...nested)
  }
  return lines
}

/** A table that holds blocks lays a page out. */
function isLayout(node: DomNode): boolean {
  for (const child of node.childNodes) {
    if (/^(?:P|DIV|H[1-6]|UL|OL|PRE|ARTICLE|SECTION|TABLE)$/.test(nameOf(child)) || isLayout(child)) return true
  }
  return false
}

/** A line a row, cells between bars. */
function tableLines(table: DomNode): string[] {
  const lines: string[] = []
  for (const child of table.childNodes) {
    const name = nameOf(child)
    if (name === 'TR') {
      const cells = [...child.childNodes].filter((cell) => /^T[DH]$/.test(nameOf(cell)))
      const texts = cells.map((cell) => squeeze(inlineText(cell)).replaceAll('\n', ' '))
      if (texts.some((text) => text !== '')) lines.push(`| ${texts.join(' | ')} |`)
    } else if (/^(?:THEAD|TBODY|TFOOT)$/.test(name)) lines.push(...tableLines(child))
    else if (name === 'CAPTION') lines.push(squeeze(inlineText(child)).replaceAll('\n', ' '))
  }
  return lines
}
