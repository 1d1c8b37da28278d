// Cuts a folder of pages, Markdown, texts or JSONL into segments and hands them on one by one: here to a count by
// language and the longest of them. The outputs are there before the first segment comes. Ctrl-C stops; the same command
// goes on where it was.
//
//   node examples/segment.mjs [INPUT] [OUTPUT]
import { fileURLToPath } from 'node:url'
import { segmentCorpus } from 'bt-native'

const input = process.argv[2] ?? fileURLToPath(new URL('../docs/*.md', import.meta.url))
const output = process.argv[3] ?? 'segments.jsonl'
const stopped = new AbortController()
process.once('SIGINT', () => stopped.abort())

const segments = segmentCorpus({ input: [input], output, maskPii: ['email'] }, { signal: stopped.signal })
const languages = new Map()
let longest
let next = await segments.next()
for (; !next.done; next = await segments.next()) {
  const { language, characters } = next.value
  languages.set(language, (languages.get(language) ?? 0) + 1)
  if (characters > (longest?.characters ?? 0)) longest = next.value
}
const summary = next.value
if (summary.interrupted) console.log(`stopped after ${summary.documents} documents; run it again to go on`)
else if (summary.alreadyDone) console.log(`${output} is finished already: ${summary.kept} segments`)
else {
  console.log(`${summary.kept} segments of ${summary.documents} documents in ${output}`, Object.fromEntries(languages))
  console.log(
    `the longest: "${longest.heading ?? longest.title}" of ${longest.place}, ${longest.characters} characters`,
  )
  for (const { reason, count, examples } of summary.dropped)
    console.log(`left out: ${count} ${reason} (${examples[0]})`)
}
