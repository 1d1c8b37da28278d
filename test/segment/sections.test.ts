import { describe, expect, test } from 'vitest'
import { htmlOutline } from '../../src/segment/html.js'
import { markdownOutline, type Outline } from '../../src/segment/markdown.js'
import { plainBlocks } from '../../src/segment/plain.js'
import { cutSections } from '../../src/segment/sections.js'
import { page, prose } from './corpus.js'

const bounds = { minCharacters: 600, maxCharacters: 3000 }

function outline(read: Outline | { fault: string }): Outline {
  if ('fault' in read) throw new Error(read.fault)
  return read
}

const cutMarkdown = (text: string) => cutSections(outline(markdownOutline(text)).blocks, bounds)
const cutHtml = (text: string) => cutSections(outline(htmlOutline(text)).blocks, bounds)

describe('sections', () => {
  test('of a fit length are one segment each, under their heading', () => {
    const [one, two] = [prose(700, 1), prose(900, 2)]
    const { drafts } = cutMarkdown(`# Title\n\n## One\n\n${one}\n\n## *Two* \`x\`\n\n${two}\n`)
    expect(drafts.map(({ heading, text }) => [heading, text])).toEqual([
      ['One', one],
      ['Two x', two],
    ])
  })

  test('that are too short are joined with their neighbours, with their headings as lines', () => {
    const parts = [1, 2, 3, 4, 5, 6].map((seed) => prose(100, seed))
    const { drafts, dropped } = cutMarkdown(
      `# Title\n\n${parts.map((text, index) => `## Part ${index}\n\n${text}\n`).join('\n')}`,
    )
    expect(drafts).toHaveLength(1)
    expect(drafts[0]).toMatchObject({ heading: 'Title' })
    expect(drafts[0]!.text).toBe(parts.map((text, index) => `## Part ${index}\n\n${text}`).join('\n\n'))
    expect(dropped).toEqual([])
  })

  test('that are too long are cut between paragraphs into pieces of about one length', () => {
    const paragraphs = Array.from({ length: 10 }, (_, seed) => prose(400, seed))
    const { drafts } = cutMarkdown(`## Long\n\n${paragraphs.join('\n\n')}`)
    expect(drafts.map(({ text }) => text).join('\n\n')).toBe(paragraphs.join('\n\n'))
    expect(drafts).toHaveLength(2)
    for (const { text } of drafts) expect(text.length).toBeGreaterThan(1700)
  })

  test('of one endless paragraph are cut between sentences', () => {
    const { drafts, dropped } = cutSections(plainBlocks(prose(20_000)), bounds)
    expect(drafts.length).toBeGreaterThan(6)
    for (const { text } of drafts) {
      expect(text.length).toBeLessThanOrEqual(3000)
      expect(text).toMatch(/^The .*\.$/s)
    }
    expect(dropped).toEqual([])
  })

  test('without a place to cut are left out', () => {
    const { drafts, dropped } = cutSections(plainBlocks('x'.repeat(5000)), bounds)
    expect(drafts).toEqual([])
    expect(dropped.map(({ reason }) => reason)).toEqual(['nowhere to cut'])
  })

  test('under headings that promise no text are left out with all below them', () => {
    const { drafts, dropped } = cutMarkdown(
      `## Bread\n\n${prose(700)}\n\n## References\n\n${prose(700, 2)}\n\n### Books\n\n${prose(700, 3)}\n\n## 12 Comments\n\n${prose(700, 4)}`,
    )
    expect(drafts.map(({ heading }) => heading)).toEqual(['Bread'])
    expect(dropped.map(({ reason, heading }) => [reason, heading])).toEqual([
      ['junk heading', 'References'],
      ['junk heading', '12 Comments'],
    ])
  })
})

describe('a span', () => {
  test('of Markdown and plain text is where the text stands', () => {
    const text = `---\ntitle: "Front"\n---\r\n# A\r\n\r\n${prose(700)}\r\n\r\n# B\r\n\r\n- ${prose(400, 2)}\r\n- ${prose(400, 3)}\r\n`
    const { title, blocks } = outline(markdownOutline(text))
    expect(title).toBe('Front')
    const { drafts } = cutSections(blocks, bounds)
    expect(drafts).toHaveLength(2)
    for (const { text: found, from, to } of drafts) expect(text.slice(from, to).replaceAll('\r', '')).toBe(found)
    const plain = `\n\n${prose(20_000)}`
    for (const { text: found, from, to } of cutSections(plainBlocks(plain), bounds).drafts) {
      expect(plain.slice(from, to)).toBe(found)
    }
  })

  test('of HTML is the markup around the text', () => {
    const html = page(`<h2>One</h2><p>${prose(700)}</p><p>${prose(100, 2)}</p><h2>Two</h2><p>${prose(800, 3)}</p>`)
    const { drafts } = cutHtml(html)
    expect(drafts.map(({ from, to }) => html.slice(from, to))).toEqual([
      `<p>${prose(700)}</p><p>${prose(100, 2)}</p>`,
      `<p>${prose(800, 3)}</p>`,
    ])
  })
})

describe('HTML', () => {
  test('gives its main text without menus, scripts, footers and comments', () => {
    const { drafts } = cutHtml(
      page(
        `<nav><ul><li><a href="/">Home</a></li><li><a href="/x">Products</a></li></ul></nav>
        <main><article><h1>Baking bread</h1><p>${prose(700)}</p><script>alert(1)</script>
        <ul><li>flour</li><li>water<ul><li>warm</li></ul></li></ul><pre><code>mix()\n  rest()</code></pre></article></main>
        <div class="comments"><p>Great post! ${prose(300, 9)}</p></div><footer>Copyright 2024. All rights reserved.</footer>`,
      ),
    )
    expect(drafts).toHaveLength(1)
    expect(drafts[0]!.text).toBe(`${prose(700)}\n\n- flour\n- water\n  - warm\n\n\`\`\`\nmix()\n  rest()\n\`\`\``)
  })

  test('keeps tables, quotes, line breaks and the text of links', () => {
    const { drafts } = cutHtml(
      page(
        `<article><p>${prose(700)} <a href="/a">A link</a><sup>[3]</sup> &amp; more<br>next</p><blockquote><p>Said so.</p></blockquote>
        <table><tr><th>Name</th><th>Price</th></tr><tr><td>Tea</td><td>3 &lt; 4</td></tr></table><p>${prose(200, 4)}</p></article>`,
      ),
    )
    const text = drafts[0]!.text
    expect(text).toContain('A link & more\nnext')
    expect(text).toContain('> Said so.')
    expect(text).toContain('| Name | Price |\n| Tea | 3 < 4 |')
  })
})

describe('plain text', () => {
  test('has a heading where a short line stands before a paragraph', () => {
    const { drafts } = cutSections(plainBlocks(`Of bread\n\n${prose(700)}\n\nOf tea\n\n${prose(700, 2)}`), bounds)
    expect(drafts.map(({ heading }) => heading)).toEqual(['Of bread', 'Of tea'])
  })

  test('without blank lines has a paragraph a line', () => {
    const lines = [prose(400, 1), prose(500, 2)]
    expect(plainBlocks(lines.join('\n')).map(({ text }) => text)).toEqual(lines)
  })
})
