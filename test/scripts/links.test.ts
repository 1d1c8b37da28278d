// scripts/check-links.mjs, on files made for it; the repository's own are checked by `npm run lint`.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { checkLinks, externalLinks } from '../../scripts/check-links.mjs'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'bt-links-'))
  mkdirSync(join(root, 'docs'))
  write('docs/other.md', '# Other things\n\n## What `it` is: *this*!\n\n## Twice\n\n## Twice\n\n<a id="place"></a>\n')
})
afterEach(() => rmSync(root, { recursive: true }))

const write = (path: string, text: string) => writeFileSync(join(root, path), text)

test('files, folders, pictures and headings that are there are right', () => {
  write('picture.svg', '<svg/>')
  write(
    'README.md',
    '# Me\n[a](docs/other.md) [b](docs/) [c](#me) ![d](picture.svg)\n\n[e](docs/other.md#what-it-is-this)' +
      '[f](docs/other.md#twice-1) [g](docs/other.md#place) [h][ref]\n\n<img src="picture.svg">\n\n[ref]: docs/other.md#twice\n',
  )
  expect(checkLinks(root)).toEqual([])
})

test('each that is not is named with its place and what is wrong', () => {
  const wrong = ['docs/Other.md', 'docs/other.md#twice-2', '#you', '../up.md', '/docs', 'docs/other.txt']
  write('picture.svg', '<svg/>')
  write(
    'README.md',
    `# Me\n\n${wrong.map((url) => `[x](${url})\n`).join('')}\n<img src="none.svg">\n\n[y](picture.svg#a)`,
  )
  expect(checkLinks(root)).toEqual([
    'README.md:3: docs/Other.md: there is no such file',
    'README.md:4: docs/other.md#twice-2: there is no such heading',
    'README.md:5: #you: there is no such heading',
    'README.md:6: ../up.md: lies outside of the repository',
    'README.md:7: /docs: an absolute path',
    'README.md:8: docs/other.txt: there is no such file',
    'README.md:10: none.svg: there is no such file',
    'README.md:12: picture.svg#a: only Markdown files have headings',
  ])
})

test('what stands in code is no link', () => {
  write('README.md', '`[x](none.md)`\n\n```\n[y](none.md)\n```\n')
  expect(checkLinks(root)).toEqual([])
})

test('links to other hosts are listed, not followed', () => {
  write('README.md', '[a](https://example.org/a)\n\n[b](https://example.org/a#b) <https://example.org/a>\n')
  expect(checkLinks(root)).toEqual([])
  expect([...externalLinks(root)]).toEqual([
    ['https://example.org/a', ['README.md:1', 'README.md:3']],
    ['https://example.org/a#b', ['README.md:3']],
  ])
})
