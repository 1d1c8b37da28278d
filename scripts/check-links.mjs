// Every link of a Markdown file to another file, a heading or a picture of the repository leads somewhere. Links to other
// hosts are not followed: `node scripts/check-links.mjs` lists them with their places.
import { existsSync, readdirSync } from 'node:fs'
import { basename, dirname, join, normalize } from 'node:path'
import { root } from './console.mjs'
import { markdownFiles, readMarkdown } from './markdown.mjs'

/** Lines that tell each link under `folder` that leads nowhere. */
export function checkLinks(folder) {
  const files = new Map(markdownFiles(folder).map((path) => [path, readMarkdown(folder, path)]))
  return [...files].flatMap(([path, { links }]) =>
    links.flatMap(({ url, line }) => {
      const problem = isExternal(url) ? undefined : problemOf(folder, files, path, url)
      return problem ? [`${path}:${line}: ${url}: ${problem}`] : []
    }),
  )
}

/** Links to other hosts, each with the places where it stands. */
export function externalLinks(folder) {
  const places = new Map()
  for (const path of markdownFiles(folder)) {
    for (const { url, line } of readMarkdown(folder, path).links.filter(({ url }) => isExternal(url))) {
      places.set(url, [...(places.get(url) ?? []), `${path}:${line}`])
    }
  }
  return places
}

const isExternal = (url) => /^[a-z][a-z0-9+.-]*:|^\/\//i.test(url)

/** What is wrong with a link that stands in the file `from`; undefined where nothing is. */
function problemOf(folder, files, from, url) {
  const [encoded, anchor] = url.split('#')
  if (encoded.startsWith('/')) return 'an absolute path'
  const path = encoded === '' ? from : normalize(join(dirname(from), decodeURIComponent(encoded)))
  if (path.startsWith('..')) return 'lies outside of the repository'
  if (!existsExactly(join(folder, path))) return 'there is no such file'
  if (anchor === undefined) return undefined
  if (!files.has(path)) return 'only Markdown files have headings'
  return files.get(path).anchors.has(decodeURIComponent(anchor)) ? undefined : 'there is no such heading'
}

/** Whether the file is there in this case: some systems would take another. */
function existsExactly(path) {
  return existsSync(path) && readdirSync(dirname(path)).includes(basename(path))
}

if (process.argv[1] === join(root, 'scripts', 'check-links.mjs')) {
  for (const problem of checkLinks(root)) process.stdout.write(`${problem}\n`)
  for (const [url, places] of externalLinks(root)) process.stdout.write(`${url}  ${places.join(' ')}\n`)
}
