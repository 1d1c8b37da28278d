// What the checks of the documentation read out of Markdown files: links, headings and blocks of code.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import GithubSlugger from 'github-slugger'
import { Parser } from 'htmlparser2'
import { marked } from 'marked'
import { globSync } from 'tinyglobby'

/** Paths of the Markdown files below `folder`, without those that are made or installed there. */
export function markdownFiles(folder) {
  const ignore = ['node_modules', 'build', 'dist', 'runs', 'test/fixtures'].map((name) => `${name}/**`)
  return globSync('**/*.md', { cwd: folder, ignore, dot: true }).sort()
}

/**
 * A file's links (pictures too), anchors, code blocks and code within lines, each with its line.
 * @returns {{ links: { url: string, line: number }[], anchors: Set<string>, blocks: { language: string, text: string, line:
 *   number }[], spans: { text: string, line: number }[] }}
 */
export function readMarkdown(folder, path) {
  const text = readFileSync(join(folder, path), 'utf8')
  const found = { links: [], anchors: new Set(), blocks: [], spans: [] }
  const slugger = new GithubSlugger()
  let line = 1
  for (const block of marked.lexer(text)) {
    let at = 0 // within the block: equal words are taken in their order
    const lineOf = ({ raw }) => {
      at = Math.max(at, block.raw.indexOf(raw, at))
      return line + count(block.raw.slice(0, at))
    }
    marked.walkTokens([block], (token) => {
      if (token.type === 'heading') found.anchors.add(slugger.slug(wordsOf(token.tokens)))
      else if (token.type === 'link' || token.type === 'image')
        found.links.push({ url: token.href, line: lineOf(token) })
      else if (token.type === 'code')
        found.blocks.push({ language: token.lang ?? '', text: token.text, line: lineOf(token) + 1 })
      else if (token.type === 'codespan') found.spans.push({ text: token.text, line: lineOf(token) })
      else if (token.type === 'html') readHtml(token.raw, lineOf(token), found)
    })
    line += count(block.raw)
  }
  return found
}

const count = (text) => text.split('\n').length - 1

/** What is left of a heading when it is shown, which anchors are made of. */
function wordsOf(tokens) {
  return tokens
    .map((token) =>
      token.type === 'html' || token.type === 'image' ? '' : token.tokens ? wordsOf(token.tokens) : token.text,
    )
    .join('')
}

/** Pictures and links that are written as HTML, and the places that it names. */
function readHtml(html, line, { links, anchors }) {
  const parser = new Parser({
    onopentag(_, { href, src, srcset, id, name }) {
      const urls = [href, src, ...(srcset?.split(',').map((part) => part.trim().split(/\s/)[0]) ?? [])]
      for (const url of urls) if (url) links.push({ url, line })
      for (const anchor of [id, name]) if (anchor) anchors.add(anchor)
    },
  })
  parser.end(html)
}
