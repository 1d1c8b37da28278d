// A row's story as a person reads it in a terminal: where its text came from, who wrote the instruction, what curation said, and
// what it trained. Finding the row is for trace.ts.
import wrapAnsi from 'wrap-ansi'
import { renderTable, terminalWidth } from '../report/table.js'
import { visible } from '../report/visible.js'
import { formatCount } from '../units.js'
import type { LineageIteration, LineageRow, Trace } from './trace.js'

/** How a trace is laid out in a terminal. */
export interface TraceTextOptions {
  width?: number
  /** Painted over the names of the parts. */
  paintTitle?: (text: string) => string
}

const margin = 12
/** Characters of a text that are shown. */
const shown = 1200

/** Each row of a trace, one below the other. */
export function renderTrace({ rows }: Trace, options: TraceTextOptions = {}): string {
  return rows.map((row) => renderRow(row, options)).join('\n\n')
}

function renderRow(
  row: Trace['rows'][number],
  { width = terminalWidth(), paintTitle = (text) => text }: TraceTextOptions,
) {
  const part = (title: string, text: string) => {
    const lines = wrapAnsi(text, width - margin, { hard: true, trim: false }).split('\n')
    return lines.map((line, at) =>
      `${at === 0 ? paintTitle(title.padEnd(margin)) : ' '.repeat(margin)}${line}`.trimEnd(),
    )
  }
  const lines = [
    ...part('row', [row.id, origins[row.origin], row.language].filter(Boolean).join(' · ')),
    ...part('document', documentOf(row)),
    ...(row.excerpt ? part('', quote(row.excerpt.text)) : []),
    ...part('instruction', readable(row.instruction)),
    ...part('written', writtenBy(row)),
    ...part(row.original_response === null ? 'response' : 'rewritten', readable(row.response)),
    ...(row.original_response === null ? [] : part('from', readable(row.original_response))),
    ...(row.iterations.length > 0 ? scores(row.iterations, width, part) : part('curation', 'none')),
    ...part('trained', row.in_training_of.length > 0 ? row.in_training_of.join(', ') : 'no model'),
  ]
  return lines.join('\n')
}

const origins: Record<LineageRow['origin'], string> = {
  seed: 'seed row, written by people',
  augmented: 'augmented: the instruction was written for a text',
  rewritten: 'augmented, and the response rewritten',
  conversation: 'augmented conversation',
}

function documentOf(row: Trace['rows'][number]): string {
  if (row.place === null) return [row.source ?? 'not known', licenceOf(row)].join(' · ')
  const span =
    row.span_from === null || row.span_to === null
      ? undefined
      : `characters ${formatCount(row.span_from)} to ${formatCount(row.span_to)}${row.document ? ` of document ${row.document}` : ''}`
  const { excerpt } = row
  const state =
    excerpt === undefined
      ? row.noExcerpt && `no excerpt: ${row.noExcerpt}`
      : !excerpt.unchanged
        ? 'the document was changed since; what stands there now:'
        : excerpt.same
          ? 'unchanged, and the text stands there:'
          : 'unchanged; there, with what was taken out or masked:'
  const first = [row.place, row.url, row.source, licenceOf(row)].filter(Boolean).join(' · ')
  return [first, span, state].filter(Boolean).join('\n')
}

function licenceOf({ license }: LineageRow): string {
  return `licence ${license ?? 'not known'}`
}

function writtenBy(row: LineageRow): string {
  if (row.origin === 'seed') return 'by people'
  const { backward_model, backward_adapter, template, sampling } = row
  const who = [
    backward_model ? `by model ${backward_model}` : 'by a model that no record names',
    backward_adapter ? `adapter ${backward_adapter}` : undefined,
    template ? `template ${template}` : undefined,
  ]
  const options = Object.entries((sampling ? JSON.parse(sampling) : {}) as Record<string, unknown>)
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([name, value]) => `${name} ${value}`)
  const outcome = [
    row.attempt ? `attempt ${row.attempt + 1} of the guard` : 'first attempt',
    row.guard?.length ? `faults left: ${row.guard.join(', ')}` : undefined,
    row.written_log_prob === null ? undefined : `mean log p ${formatCount(row.written_log_prob, 3)} nats a token`,
  ]
  const line = (parts: (string | undefined)[]) => parts.filter(Boolean).join(', ')
  return [line(who), options.join(', '), line(outcome)].filter(Boolean).join('\n')
}

/** Columns of the table of scores: those that an iteration has. */
const scoreTitles: [name: keyof LineageIteration, digits: number][] = [
  ['quality', 2],
  ['likelihood', 3],
  ['pmi', 3],
  ['ifd', 3],
  ['ending', 2],
  ['backward', 3],
  ['backward_pmi', 3],
  ['cycle', 1],
  ['fit', 2],
  ['length', 0],
  ['copy', 2],
]

function scores(
  iterations: readonly LineageIteration[],
  width: number,
  part: (title: string, text: string) => string[],
) {
  const there = scoreTitles.filter(([name]) => iterations.some((one) => one[name] !== null))
  const number = (value: unknown, digits: number) => (typeof value === 'number' ? formatCount(value, digits) : '')
  const table = renderTable(
    [
      { title: 'iteration', align: 'right' },
      ...there.map(([title]) => ({ title, align: 'right' as const })),
      { title: 'kept' },
    ],
    iterations.map((one) => [
      String(one.iteration),
      ...there.map(([name, digits]) => number(one[name], digits)),
      one.kept === null ? '' : one.kept ? 'yes' : 'no',
    ]),
    { width: width - margin },
  )
  const reasons = iterations.map(
    ({ iteration, kept, why, adapter }) =>
      `${iteration}: ${kept ? 'kept' : 'dropped'}${why ? `: ${why}` : ''}${adapter ? ` (scored with ${adapter})` : ''}`,
  )
  return part('curation', `${table}\n${reasons.join('\n')}`)
}

function quote(text: string): string {
  return readable(text)
    .split('\n')
    .map((line) => `| ${line}`)
    .join('\n')
}

/** At most so many characters, with nothing in them that moves the terminal. */
function readable(text: string | null): string {
  if (text === null) return 'none'
  const short = text.length > shown ? `${text.slice(0, shown)} ... (${formatCount(text.length)} characters)` : text
  return visible(short).replaceAll('↵\n', '\n')
}
