// One document to its segments: taken apart, cut, and each piece asked whether it may stay. Knows no other document.
import type { LanguageDetector } from '../data/language.js'
import { signatureOf } from '../data/near-duplicates.js'
import { characterCount, normaliseText } from '../data/normalise.js'
import { sha256 } from '../files.js'
import type { Outline } from './markdown.js'
import { outlineOf, titleOf } from './outline.js'
import type { Overlap } from './overlap.js'
import type { Masked, Masker } from './pii.js'
import { qualityReason } from './quality.js'
import { type Cut, cutSections } from './sections.js'
import type { CorpusDocument, Draft, DroppedRow, Segment } from './types.js'

export interface SiftOptions {
  minCharacters: number
  maxCharacters: number
  /** ISO 639-1 codes to keep; all where there are none. */
  lang?: readonly string[] | undefined
  /** Factor on the limits of repeated text. */
  repetition: number
  /** Make signatures that duplicates are found by. */
  signatures: boolean
}

export interface Sieve {
  detector: LanguageDetector
  overlap?: Overlap | undefined
  mask?: Masker | undefined
}

export interface SiftedSegment extends Segment {
  /** MinHash; undefined where it is not wanted. */
  signature?: Uint32Array | undefined
  masked?: Masked['counts'] | undefined
}

export interface Sifted {
  segments: SiftedSegment[]
  dropped: DroppedRow[]
}

/** Characters that tell the language. */
const tellsLanguage = 2000
/** Characters of a dropped text that are shown. */
const shown = 200

export function sift(document: CorpusDocument, sieve: Sieve, options: SiftOptions): Sifted {
  const outline = document.cut ? wholeOf(document) : outlineOf(document)
  const place = document.cut?.place ?? document.place
  if ('fault' in outline) return nothing('malformed', place, `the document ${outline.fault}`)
  if (outline.blocks.length === 0) return nothing('no main text', place)
  const title = titleOf(document, outline)
  const { drafts, dropped } = document.cut ? cutOnce(document, document.cut) : cutSections(outline.blocks, options)
  const sifted: Sifted = { segments: [], dropped: dropped.map((one) => droppedRow(one, one.reason, place)) }
  const id = document.cut?.document ?? sha256(document.content).slice(0, 16)
  for (const draft of drafts) {
    const language = sieve.detector.detect(draft.text.slice(0, tellsLanguage))
    const why = reasonFor(draft, language, sieve, options)
    if (why) sifted.dropped.push(droppedRow(draft, why.reason, place, why.detail))
    else sifted.segments.push(segmentOf(draft, { document, id, title, language }, sieve, options))
  }
  return sifted
}

/** A segment of an earlier run: its text as it is, in the place that it came from. */
function cutOnce({ content }: CorpusDocument, { heading, span: [from, to] }: NonNullable<CorpusDocument['cut']>): Cut {
  return { drafts: [{ text: normaliseText(content), heading: heading ?? undefined, from, to }], dropped: [] }
}

function wholeOf({ content }: CorpusDocument): Outline {
  return { blocks: [{ kind: 'whole', text: content, from: 0, to: content.length }] }
}

function nothing(reason: string, place: string, detail: string | null = null): Sifted {
  return { segments: [], dropped: [{ reason, place, detail, heading: null, span: null, text: null }] }
}

function droppedRow({ text, heading, from, to }: Draft, reason: string, place: string, detail?: string): DroppedRow {
  return {
    reason,
    place,
    detail: detail ?? null,
    heading: heading ?? null,
    span: [from, to],
    text: Array.from(text.slice(0, 2 * shown))
      .slice(0, shown)
      .join(''),
  }
}

function reasonFor(
  { text }: Draft,
  language: string | undefined,
  { overlap }: Sieve,
  { lang, repetition }: SiftOptions,
): { reason: string; detail?: string | undefined } | undefined {
  const quality = qualityReason(text, repetition)
  if (quality) return { reason: quality }
  if (lang && language === undefined) return { reason: 'language not told' }
  if (lang && !lang.includes(language!)) return { reason: 'other language', detail: language }
  const shared = overlap?.find(text)
  return shared === undefined ? undefined : { reason: 'in the evaluation set', detail: shared }
}

interface Origin {
  document: CorpusDocument
  /** Hash of its content. */
  id: string
  title: string | null
  language: string | undefined
}

function segmentOf(draft: Draft, { document, id, title, language }: Origin, sieve: Sieve, options: SiftOptions) {
  const counts: Masked['counts'] = {}
  const masked = <T extends string | null>(text: T): T => {
    if (text === null || !sieve.mask) return text
    const result = sieve.mask(text)
    for (const [kind, count] of Object.entries(result.counts) as [keyof typeof counts, number][]) {
      counts[kind] = (counts[kind] ?? 0) + count
    }
    return result.text as T
  }
  const text = masked(draft.text)
  return {
    id: sha256(text).slice(0, 16),
    text,
    heading: masked(draft.heading ?? null),
    title: masked(title),
    source: document.source,
    url: document.url ?? null,
    language: language ?? null,
    license: document.license ?? null,
    document: id,
    place: document.cut?.place ?? document.place,
    span: [draft.from, draft.to] as [number, number],
    characters: characterCount(text),
    signature: options.signatures ? signatureOf(text) : undefined,
    masked: Object.keys(counts).length > 0 ? counts : undefined,
  }
}
