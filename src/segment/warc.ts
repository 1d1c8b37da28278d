// A web archive (WARC, and WET as Common Crawl makes it) to documents: pages and plain texts that were answered with 200.
// The archive is unpacked before it comes here.
import { basename } from 'node:path'
import type { OpenedFile } from '../data/bytes.js'
import type { Drops } from '../data/drops.js'
import { BtError, messageOf } from '../errors.js'
import { decodePage } from './charset.js'
import { wholeBytes } from './documents.js'
import type { CorpusDocument, DocumentKind } from './types.js'

const kinds: Record<string, DocumentKind> = {
  'text/html': 'html',
  'application/xhtml+xml': 'html',
  'text/plain': 'text',
  'text/markdown': 'markdown',
}

/** Kinds of records that hold a document; requests, metadata and the rest are no documents. */
const holders = new Set(['response', 'resource', 'conversion'])

/**
 * Documents of an archive, placed by the number of their record: "crawl.warc.gz:31".
 * @throws {BtError} BT_DATA_FORMAT when the archive breaks off or is none
 */
export async function* warcDocuments(file: OpenedFile, drops: Drops): AsyncGenerator<CorpusDocument> {
  const { WARCParser } = await import('warcio')
  let number = 0
  try {
    for await (const record of WARCParser.iterRecords(file.bytes)) {
      number++
      if (!record.warcHeaders.statusline.startsWith('WARC/')) throw broken(file.name, number - 1, 'no record follows')
      // Of half a byte, or of what is no number, the library would wait for the end as well.
      if (!Number.isInteger(limitOf(record._reader))) throw broken(file.name, number - 1, 'a length is not a number')
      const place = `${file.name}:${number}`
      const skip = () => skipRecord(record._reader, () => broken(file.name, number - 1, 'it breaks off'))
      if (!holders.has(record.warcType ?? '')) {
        await skip()
        continue
      }
      const contentType = record.httpHeaders?.headers.get('content-type') ?? record.warcContentType ?? ''
      const kind = kinds[contentType.split(';')[0]!.trim().toLowerCase()]
      if (!kind) {
        await skip()
        continue
      }
      const status = record.httpHeaders?.statusCode ?? 200
      if (Number(status) !== 200) {
        drops.add(`answered with ${status}`, place)
        await skip()
        continue
      }
      const whole = await wholeBytes(record)
      // What a record lacks of its length, its reader still waits for.
      if (lacks(record._reader)) throw broken(file.name, number - 1, 'it breaks off')
      const read = 'fault' in whole ? whole : decodePage(whole.bytes, contentType)
      if ('fault' in read) drops.addMalformed(place, `the page ${read.fault}`)
      else
        yield { place, kind, content: read.text, url: record.warcTargetURI ?? undefined, source: basename(file.name) }
    }
  } catch (error) {
    if (error instanceof BtError) throw error
    throw broken(file.name, number, messageOf(error))
  }
  if (number === 0) throw broken(file.name, 0, 'there is no record in it')
}

/** Reads past a record: the library itself waits for ever for what a record at the file's end lacks. */
async function skipRecord(
  reader: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  cutOff: () => BtError,
): Promise<void> {
  for await (const _ of reader);
  if (lacks(reader)) throw cutOff()
}

function lacks(reader: object): boolean {
  return limitOf(reader) > 0
}

/** Bytes of the record that were not read yet. */
function limitOf(reader: object): number {
  return (reader as { limit?: number }).limit ?? 0
}

function broken(name: string, number: number, why: string): BtError {
  const where = number === 0 ? '' : ` after record ${number}`
  return new BtError('BT_DATA_FORMAT', `${name}: the archive cannot be read${where}: ${why}`, {
    remedy: 'Fetch it again; what stands before that place is read.',
  })
}
