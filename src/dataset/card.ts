// The data set card: README.md with the front matter that the Hub reads, and what a person wants to know before using the
// rows. A pure function of counts.
import { stringify } from 'yaml'
import { histogramOf, histogramText } from '../report/histogram.js'
import { markdownTable } from '../report/table.js'
import { formatCount } from '../units.js'
import type { CardSample, Count, DatasetCounts } from './counts.js'
import type { Making } from './making.js'
import type { DatasetFormat } from './options.js'

export interface Card {
  title: string
  /** Of the whole, where it was named. */
  license?: string | undefined
  formats: readonly DatasetFormat[]
  counts: DatasetCounts
  /** Characters of instructions and responses, and scores. */
  numbers: ReadonlyMap<string, readonly number[]>
  samples: readonly CardSample[]
  making: Making
  version: string
}

/** Name of the file of each form. */
export const fileNames: Record<DatasetFormat, string> = {
  messages: 'messages.jsonl',
  alpaca: 'alpaca.json',
  sharegpt: 'sharegpt.jsonl',
  parquet: 'data.parquet',
}

/** Licences as rows name them, and the Hub's id of each. */
const hubLicenses: [RegExp, string][] = [
  [/^apache(-| license,? (version )?)?2(\.0)?$/i, 'apache-2.0'],
  [/^mit( license)?$/i, 'mit'],
  [/^(cc-?0|cc zero)(-1\.0)?$/i, 'cc0-1.0'],
  [/^odc-by(-1\.0)?$/i, 'odc-by'],
  [/^unlicense$/i, 'unlicense'],
  [/^pddl(-1\.0)?$/i, 'pddl'],
]

/** The Hub's id of a licence; "other" for one that it does not list, "unknown" for none. */
export function hubLicense(license: string | null): string {
  if (license === null) return 'unknown'
  const name = license.trim()
  const listed = hubLicenses.find(([pattern]) => pattern.test(name))?.[1]
  if (listed) return listed
  const cc = /^(cc-by(?:-(?:sa|nc|nd|nc-sa|nc-nd))?)[- ](2\.0|2\.5|3\.0|4\.0)$/i.exec(name.replaceAll(' ', '-'))
  return cc ? `${cc[1]}-${cc[2]}`.toLowerCase() : 'other'
}

/** The Hub's words for how many rows there are. */
export function sizeCategory(rows: number): string {
  const steps: [limit: number, name: string][] = [
    [1e3, 'n<1K'],
    [1e4, '1K<n<10K'],
    [1e5, '10K<n<100K'],
    [1e6, '100K<n<1M'],
    [1e7, '1M<n<10M'],
    [1e8, '10M<n<100M'],
    [1e9, '100M<n<1B'],
  ]
  return steps.find(([limit]) => rows < limit)?.[1] ?? 'n>1B'
}

/** The whole README.md. */
export function renderCard(card: Card): string {
  const { title, counts } = card
  const parts = [
    `---\n${stringify(frontMatter(card)).trimEnd()}\n---`,
    `# ${title}`,
    opening(card),
    '## Files',
    filesList(card),
    '## Rows',
    tableOf('source', counts.sources),
    ...(card.making.origins
      ? [
          tableOf(
            'origin',
            Object.entries(card.making.origins).map(([name, rows]) => ({ name, rows })),
          ),
        ]
      : []),
    tableOf('language', counts.languages),
    ...histograms(card),
    '## Licences of the sources',
    licenceWords(counts),
    licenceTable(counts),
    '## How it was made',
    ...making(card),
    ...(card.samples.length > 0 ? ['## Samples', ...card.samples.map(sample)] : []),
    '## Known limits',
    limits(card),
  ]
  return `${parts.join('\n\n')}\n`
}

function opening({ counts, making, version }: Card): string {
  const turns =
    counts.conversations === 0 ? 'each of one turn' : `${formatCount(counts.conversations)} of them conversations`
  const augmented = making.steps.length > 0 || Object.keys(making.origins ?? {}).some((origin) => origin !== 'seed')
  const how = augmented
    ? ' by instruction backtranslation: a model reads a text and writes the instruction that it answers'
    : ''
  return `${formatCount(counts.rows)} rows of instructions and responses, ${turns}, made with bt-native ${version}${how}.`
}

function frontMatter({ title, license, formats, counts }: Card): Record<string, unknown> {
  const licenses = license ? [license] : [...new Set(counts.licenses.map(({ name }) => hubLicense(name)))]
  const languages = counts.languages.flatMap(({ name }) => (name !== null && /^[a-z]{2,3}$/.test(name) ? [name] : []))
  // Python's datasets reads all configurations of a repository with one reader: Parquet's alone, or JSON's.
  const files: readonly DatasetFormat[] = formats.includes('parquet') ? ['parquet'] : formats
  return {
    pretty_name: title,
    license: licenses.length === 1 ? licenses[0] : licenses,
    ...(languages.length > 0 ? { language: languages } : {}),
    size_categories: [sizeCategory(counts.rows)],
    task_categories: ['text-generation'],
    tags: ['instruction-backtranslation', 'instruction-tuning', 'synthetic', 'bt-native'],
    configs: files.map((format, at) => ({
      config_name: at === 0 ? 'default' : format,
      data_files: [{ split: 'train', path: fileNames[format] }],
    })),
  }
}

const contents: Record<DatasetFormat, string> = {
  messages: '`messages`: `role` (system, user, assistant) and `content`; with `source`, lineage and scores',
  parquet: 'the same rows as Parquet',
  alpaca: '`instruction`, `input` (empty), `output`, where there is one `system`, of conversations `history`',
  sharegpt: '`conversations`: `from` (system, human, gpt) and `value`',
}

function filesList({ formats }: Card): string {
  const lines = formats.map((format) => `- \`${fileNames[format]}\`: ${contents[format]}`)
  const others = formats.filter((format) => format !== 'parquet')
  if (others.length === 0 || others.length === formats.length) return lines.join('\n')
  const example = `load_dataset("json", data_files="${fileNames[others.at(-1)!]}")`
  return `${lines.join('\n')}\n\nWithout a file's name Python's \`datasets\` loads the Parquet file; another one with \`${example}\`.`
}

/** Lines of a table that are shown. */
const mostLines = 30

function tableOf(title: string, counts: readonly Count[]): string {
  const rest = counts.slice(mostLines).reduce((sum, { rows }) => sum + rows, 0)
  const cells = counts.slice(0, mostLines).map(({ name, rows }) => [name ?? 'unknown', formatCount(rows)])
  if (rest > 0) cells.push([`${formatCount(counts.length - mostLines)} others`, formatCount(rest)])
  return markdownTable([{ title }, { title: 'rows', align: 'right' }], cells)
}

const titles: Record<string, string> = {
  instruction: 'characters of an instruction',
  response: 'characters of a response',
  quality: 'quality, 1 to 5',
  likelihood: 'likelihood, nats a token',
  pmi: 'pmi, nats a token',
  ifd: 'instruction-following difficulty',
  ending: 'log p of the end, nats',
  copy: 'share of the instruction that the response repeats',
  cycle: "likeness of the model's own answer, 0 to 100",
  backward: 'log p of the instruction, nats a token',
  backwardPmi: 'pmi of the instruction, nats',
  fit: 'probability of being a good pair',
}

function histograms({ numbers }: Card): string[] {
  const drawn = [...numbers].flatMap(([name, values]) => {
    const histogram = histogramOf(values, Array<boolean>(values.length).fill(true), 12)
    return histogram ? [histogramText(titles[name] ?? name, histogram, 40)] : []
  })
  return drawn.map((text) => `\`\`\`\n${text}\n\`\`\``)
}

function licenceTable({ sourcesByLicense }: DatasetCounts): string {
  const cells = sourcesByLicense
    .slice(0, mostLines)
    .map(({ license, source, rows }) => [license ?? 'unknown', source ?? 'unknown', formatCount(rows)])
  const rest = sourcesByLicense.slice(mostLines)
  for (const license of new Set(rest.map((one) => one.license))) {
    const others = rest.filter((one) => one.license === license)
    const rows = others.reduce((sum, one) => sum + one.rows, 0)
    cells.push([license ?? 'unknown', `${formatCount(others.length)} others`, formatCount(rows)])
  }
  return markdownTable([{ title: 'licence' }, { title: 'source' }, { title: 'rows', align: 'right' }], cells)
}

function licenceWords({ licenses, rows }: DatasetCounts): string {
  const unknown = licenses.find(({ name }) => name === null)?.rows ?? 0
  if (unknown === 0) return 'Every row names its licence.'
  const share =
    unknown === rows
      ? 'No row names its licence'
      : `${formatCount(unknown)} of ${formatCount(rows)} rows name no licence`
  return `${share}: whoever uses them has to find out whether they may.`
}

function making({ making }: Card): string[] {
  if (making.steps.length === 0) return ['No record of the models and options lay beside the rows.']
  return making.steps.map(({ step, options }) => {
    const rows = Object.entries(options).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : JSON.stringify(value),
    ])
    return `**${step}**\n\n${markdownTable([{ title: 'option' }, { title: 'value' }], rows)}`
  })
}

/** Characters of each text of a sample. */
const shown = 700

function sample({ id, instruction, response }: CardSample): string {
  return `\`${id}\`\n\n${quote(`**Instruction:** ${cut(instruction)}`)}\n>\n${quote(`**Response:** ${cut(response)}`)}`
}

function quote(text: string): string {
  return text
    .split('\n')
    .map((line) => `> ${line}`.trimEnd())
    .join('\n')
}

/** Text as Markdown shows it letter for letter: signs that would be read as markup are escaped. */
function cut(text: string): string {
  const short = text.length > shown ? `${text.slice(0, shown).replace(/\p{Surrogate}$/u, '')} ...` : text
  return short.replace(/[\\`*_#<>[\]|~]/g, '\\$&')
}

function limits({ counts, numbers }: Card): string {
  const scored = [...numbers.keys()].filter((name) => name in titles && !['instruction', 'response'].includes(name))
  return [
    '- Instructions of augmented rows were written by a model for a text that was there before: some do not fit it, or ask for less or more than it says.',
    '- Responses are texts as they were found, unless they were rewritten: nobody checked what they claim, and they may be out of date, one-sided or name persons.',
    scored.length > 0
      ? `- Scores (${scored.join(', ')}) are a small model's judgement; a high one is no proof.`
      : '- No row carries a score: nothing here says which pairs are good.',
    ...(counts.languages.some(({ name }) => name === null) ? ['- The language of some rows is not known.'] : []),
  ].join('\n')
}
