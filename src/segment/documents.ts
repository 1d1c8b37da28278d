// A file of a corpus as a stream of documents, whatever it holds. What cannot be read is counted in `drops`.
import { basename } from 'node:path'
import { type OpenedFile, openFile } from '../data/bytes.js'
import type { Drops } from '../data/drops.js'
import { maxRecordBytes, textFault, tooLong } from '../data/lines.js'
import { isBroken } from '../data/normalise.js'
import { recordsOf, type SourceRecord } from '../data/records.js'
import { BtError } from '../errors.js'
import { decodePage } from './charset.js'
import { type FileKind, kindOf } from './corpus.js'
import type { CorpusDocument, DocumentKind } from './types.js'
import { warcDocuments } from './warc.js'

export interface ReadDocumentsOptions {
  drops: Drops
  /** Column that holds the document, in place of the usual ones. */
  column?: string | undefined
  /** What documents in columns are; 'auto' tells it from column and content. */
  format: DocumentKind | 'auto'
  /** Called with the bytes taken from the file as it is stored. */
  onBytes?: ((bytes: number) => void) | undefined
  signal?: AbortSignal | undefined
}

/**
 * Documents in file order; of a page, Markdown or text file the one that it is. Memory is bounded by the longest document
 * that is read, 8 MB.
 * @throws {BtError} as openFile and recordsOf; BT_DATA_COLUMN naming the line where no column holds a document
 */
export async function* readDocuments(path: string, options: ReadDocumentsOptions): AsyncGenerator<CorpusDocument> {
  const file = await openFile(path, options)
  const { kind, bytes } = await told(path, file)
  const opened = { ...file, bytes }
  const documents =
    kind === 'records'
      ? recordDocuments(path, opened, options)
      : kind === 'warc'
        ? warcDocuments(opened, options.drops)
        : wholeFile(opened, kind, options.drops)
  for await (const document of documents) {
    if (isBroken(document.content)) {
      options.drops.addMalformed(document.place, 'its text holds half of a surrogate pair, which UTF-8 cannot write')
    } else if (document.content.trim() === '') options.drops.add('empty document', document.place)
    else yield document
  }
}

/** The kind of a file by its name, or else by how it begins. */
async function told(path: string, file: OpenedFile): Promise<{ kind: FileKind; bytes: AsyncIterable<Buffer> }> {
  const { bytes, content } = file
  if (content === 'parquet') return { kind: 'records', bytes }
  const named = path === '-' ? undefined : kindOf(path)
  if (named) return { kind: named, bytes }
  if (content !== 'text') return { kind: 'records', bytes }
  const iterator = bytes[Symbol.asyncIterator]()
  const first = await iterator.next()
  const head = first.done ? '' : first.value.subarray(0, 512).toString('latin1').trimStart()
  const kind = head.startsWith('WARC/') ? 'warc' : looksLikeHtml(head) ? 'html' : 'text'
  return { kind, bytes: again(first, iterator) }
}

async function* again(first: IteratorResult<Buffer>, iterator: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  try {
    for (let next = first; !next.done; next = await iterator.next()) yield next.value
  } finally {
    await iterator.return?.()
  }
}

async function* wholeFile(file: OpenedFile, kind: DocumentKind, drops: Drops): AsyncGenerator<CorpusDocument> {
  const whole = await wholeBytes(file.bytes)
  const read = 'fault' in whole ? whole : kind === 'html' ? decodePage(whole.bytes) : decodeText(whole.bytes)
  if ('fault' in read) drops.addMalformed(file.name, `the file ${read.fault}`)
  else yield { place: file.name, kind, content: read.text, source: basename(file.name) }
}

function decodeText(bytes: Buffer): { text: string } | { fault: string } {
  const fault = textFault(bytes)
  return fault ? { fault } : { text: bytes.toString('utf8') }
}

/** All bytes, unless they are too many. */
export async function wholeBytes(chunks: AsyncIterable<Uint8Array>): Promise<{ bytes: Buffer } | { fault: string }> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of chunks) {
    length += part.length
    if (length <= maxRecordBytes) parts.push(part)
    else parts.length = 0
  }
  return length > maxRecordBytes ? { fault: tooLong(length, maxRecordBytes) } : { bytes: Buffer.concat(parts) }
}

/** Columns that hold a document, the first that is there wins, and what it is where its name says so. */
const usualColumns: [name: string, kind?: DocumentKind][] = [
  ['html', 'html'],
  ['raw_html', 'html'],
  ['markdown', 'markdown'],
  ['md', 'markdown'],
  ['text'],
  ['content'],
  ['raw_content'],
  ['body'],
  ['document'],
  ['response'],
  ['output'],
]

async function* recordDocuments(
  path: string,
  file: OpenedFile,
  options: ReadDocumentsOptions,
): AsyncGenerator<CorpusDocument> {
  for await (const record of recordsOf(path, file, options)) {
    const { value, place } = record
    const [column, kind] = columnOf(record, options.column)
    const content = value[column]
    if (content === null || content === undefined) options.drops.add('empty document', place)
    else if (typeof content !== 'string') options.drops.addMalformed(place, `"${column}" holds no text`)
    else {
      const own = (...names: string[]) => names.map((name) => value[name]).find(isWords)
      yield {
        place,
        kind: options.format === 'auto' ? (kind ?? kindByContent(content)) : options.format,
        content,
        title: own('title'),
        url: own('url', 'uri', 'link'),
        source: own('source', 'dataset') ?? basename(file.name),
        license: own('license', 'licence'),
        cut: options.column === undefined ? cutBefore(value) : undefined,
      }
    }
  }
}

/** The lineage of a row that segmentCorpus wrote. */
function cutBefore({ heading, document, place, span }: Record<string, unknown>): CorpusDocument['cut'] {
  if (!isWords(document) || !isWords(place) || !Array.isArray(span) || span.length !== 2) return undefined
  const [from, to] = span.map(Number)
  if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to)) return undefined
  return { heading: isWords(heading) ? heading : null, document, place, span: [from!, to!] }
}

function isWords(value: unknown): value is string {
  return typeof value === 'string' && value.trim() !== '' && !isBroken(value)
}

function columnOf({ value, place }: SourceRecord, wanted: string | undefined): [string, DocumentKind?] {
  const usual = usualColumns.find(([name]) => (wanted === undefined ? name in value : name === wanted))
  if (usual && usual[0] in value) return usual
  if (wanted !== undefined && wanted in value) return [wanted]
  const what =
    wanted === undefined ? 'no column with a document, such as text, content, html' : `"${wanted}" is missing`
  const here = Object.keys(value)
  throw new BtError('BT_DATA_COLUMN', `${place}: ${what} (columns here: ${here.join(', ') || 'none'})`, {
    remedy: `Name the column that holds the document: --column ${here[0] ?? 'NAME'}`,
  })
}

function looksLikeHtml(text: string): boolean {
  return /^\s*(?:<\?xml[^>]*>\s*)?<(?:!doctype html|!--|(?:html|head|body|meta|title|div|main|article|section|header|p|h[1-6]|table|ul|ol)\b)/i.test(
    text,
  )
}

export function kindByContent(text: string): DocumentKind {
  if (looksLikeHtml(text.slice(0, 1000))) return 'html'
  return /^#{1,6} \S/m.test(text) || /^```/m.test(text) ? 'markdown' : 'text'
}
