// Markdown to blocks: headings, and everything else as it is written. Front matter gives the title; HTML comments, raw
// HTML, rules and link definitions are left out.
import { Lexer, type Token } from 'marked'
import { parse as parseYaml } from 'yaml'
import type { Block } from './types.js'

export interface Outline {
  title?: string | undefined
  blocks: Block[]
}

/** Markers of lists and quotes one in another: the parser's time grows with the cube of them. */
const tooDeep = /^(?:[ \t>]|[-*+][ \t]|\d{1,9}[.)][ \t]){200}/m

const kinds: Record<string, Block['kind']> = { list: 'lines', table: 'lines', code: 'whole' }
const leftOut = new Set(['space', 'hr', 'def', 'html'])

/** @returns the blocks, or why the text cannot be taken apart */
export function markdownOutline(content: string): Outline | { fault: string } {
  if (tooDeep.test(content)) return { fault: 'has lists or quotes nested over a hundred levels deep' }
  // The parser sees "\n" alone as a line end; offsets stay those of the content.
  const body = content.replace(/\r(?=\n)/g, ' ').replaceAll('\r', '\n')
  const front = /^\ufeff?---[ \t]*\n([\s\S]*?)\n---[ \t]*(?:\n|$)/.exec(body)
  let at = front?.[0].length ?? 0
  const blocks: Block[] = []
  for (const token of new Lexer().blockTokens(body.slice(at), [])) {
    const from = at
    at += token.raw.length
    const block = leftOut.has(token.type) ? undefined : blockOf(token, content, from, at)
    if (block) blocks.push(block)
  }
  return { title: front ? titleIn(front[1]!) : firstTitle(blocks), blocks }
}

function blockOf(token: Token, content: string, start: number, end: number): Block | undefined {
  const raw = content.slice(start, end)
  const text = token.type === 'code' ? raw.replace(/^\s*\n|\s+$/g, '') : raw.trim()
  const from = start + raw.indexOf(text)
  const place = { from, to: from + text.length }
  if (text === '') return undefined
  if (token.type !== 'heading') return { kind: kinds[token.type] ?? 'prose', text, ...place }
  return { kind: 'heading', level: token.depth as number, text: plainWords(token.text as string), ...place }
}

/** "A *b* [c](d)" -> "A b c" */
function plainWords(text: string): string {
  return wordsOf(Lexer.lexInline(text)).replace(/\s+/g, ' ').trim()
}

function wordsOf(tokens: readonly Token[]): string {
  return tokens
    .map((token) => {
      if (token.type === 'html') return ''
      if (token.type === 'br') return ' '
      return 'tokens' in token && token.tokens ? wordsOf(token.tokens) : ((token as { text?: string }).text ?? '')
    })
    .join('')
}

function titleIn(front: string): string | undefined {
  try {
    const title = (parseYaml(front) as { title?: unknown } | null)?.title
    return typeof title === 'string' ? title : undefined
  } catch {
    return undefined // not YAML: then no front matter that names a title
  }
}

/** The first heading, where it is the only one of the first level. */
function firstTitle(blocks: readonly Block[]): string | undefined {
  const top = blocks.filter(({ kind, level }) => kind === 'heading' && level === 1)
  return top.length === 1 && top[0] === blocks.find(({ kind }) => kind === 'heading') ? top[0]!.text : undefined
}
