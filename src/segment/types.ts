// What goes through the preparation of a corpus: documents, their blocks, the segments cut from them, and the counts.
import type { LengthSummary } from '../data/lengths.js'
import type { DropCount } from '../data/types.js'

export type DocumentKind = 'html' | 'markdown' | 'text'

/** One page, record or file, as text that was decoded and not yet taken apart. */
export interface CorpusDocument {
  /** "docs.jsonl:12", "crawl.warc.gz:31" (record), "page.html". */
  place: string
  kind: DocumentKind
  content: string
  title?: string | undefined
  url?: string | undefined
  /** Data set or file that it came from. */
  source: string
  license?: string | undefined
  /** Where it is a segment that was cut before: what is to stay of it. */
  cut?: Pick<Segment, 'heading' | 'document' | 'place' | 'span'> | undefined
}

/**
 * A piece of a document in reading order. `prose` may be cut between sentences, `lines` (lists, tables) between lines,
 * `whole` (code) not at all.
 */
export interface Block {
  kind: 'heading' | 'prose' | 'lines' | 'whole'
  /** 1 to 6 for headings. */
  level?: number
  text: string
  /** Where it stands in the document's content, in UTF-16 code units; the end is exclusive. */
  from: number
  to: number
}

/** A stretch of a document that stands by itself, before any filter. */
export interface Draft {
  text: string
  heading?: string | undefined
  from: number
  to: number
}

/** A segment as it stands in the output. */
export interface Segment {
  /** Sixteen hex digits of a SHA-256 over the text. */
  id: string
  text: string
  /** The heading that the text stood under. */
  heading: string | null
  /** Of the document. */
  title: string | null
  /** The record's own source where it has one, else the file's name. */
  source: string
  url: string | null
  /** ISO 639-1; null where the text does not tell. */
  language: string | null
  license: string | null
  /** Sixteen hex digits of a SHA-256 over the document's content. */
  document: string
  /** File, with line or record number: "docs.jsonl:12". */
  place: string
  /** [from, to) in the document's content (for HTML in its markup), in UTF-16 code units. */
  span: [number, number]
  /** Code points of the text. */
  characters: number
}

/** A segment, document or line that was left out. */
export interface DroppedRow {
  reason: string
  place: string
  /** What is wrong with it, or what it is like. */
  detail: string | null
  heading: string | null
  span: [number, number] | null
  /** How its text begins. */
  text: string | null
}

/** What a run came to. */
export interface SegmentSummary {
  files: number
  /** Files of folders that are of no kind that is read. */
  passedOver: number
  /** Documents that were taken apart. */
  documents: number
  /** Segments in the output. */
  kept: number
  /** Lines, documents and segments that were left out. */
  droppedTotal: number
  dropped: DropCount[]
  /** The first hundred unreadable lines and documents, each with what is wrong. */
  malformed: { place: string; why: string }[]
  /** Kept segments by language, most first; null where the text does not tell. */
  languages: { language: string | null; count: number }[]
  /** Code points of kept segments. */
  characters: LengthSummary
  /** Masked places in kept segments by kind. */
  masked: Record<string, number>
  /** Files with rows; without an output none. */
  outputs: string[]
  /** File that lists what was left out. */
  droppedOutput?: string | undefined
  seconds: number
  /** Ended by the signal: what was read so far is kept for the next call. */
  interrupted: boolean
  /** The output was there already, made by the same call from the same files. */
  alreadyDone: boolean
}
