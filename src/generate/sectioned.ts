// Long texts by their sections: what a conversation is made of whose replies are there and whose messages are not.
import { Drops } from '../data/drops.js'
import { type Lineage, lineageOf } from '../data/lineage.js'
import { readTexts, type TextRow } from '../data/texts.js'
import type { DropCount } from '../data/types.js'
import { sha256 } from '../files.js'
import { kindOf } from '../segment/corpus.js'
import { kindByContent, readDocuments } from '../segment/documents.js'
import { outlineOf, titleOf } from '../segment/outline.js'
import { cutSections } from '../segment/sections.js'
import type { CorpusDocument, Draft } from '../segment/types.js'

/** One reply of a conversation. */
export interface Section {
  /** The segment's, where it is one. */
  id?: string
  text: string
  heading?: string
  /** [from, to) in the document's content; not told of a text that stands in a row. */
  span?: [number, number]
}

/** Sections of one document that become one conversation. */
export interface SectionedText {
  /** Place among those of the input, from 0. */
  index: number
  /** Sixteen hex digits of a SHA-256 over the sections. */
  id: string
  sections: Section[]
  source?: string
  /** Of the document; the span reaches from the first section to the last. */
  lineage: Lineage
}

export interface SectionOptions {
  input: string
  column?: string | undefined
  /** Conversations at most. */
  limit?: number | undefined
  /** Sections of one conversation. */
  minTurns: number
  maxTurns: number
  /** Of a section, where texts are cut here. */
  minCharacters: number
  maxCharacters: number
}

/** Texts in the order of the input. */
export interface SectionedInput {
  texts: AsyncIterable<SectionedText>
  /** Records that gave no text, so far. */
  dropped(): DropCount[]
}

/**
 * Rows with a column `document`, as `segment` writes them, are sections: those of one document that follow one another
 * belong together. Any other text (a page, a Markdown or text file, or a row of its own) is cut into its sections here, as
 * `segment` cuts it. A document with more than maxTurns sections gives several conversations of about the same length; one
 * with fewer than minTurns is left out.
 * Throws while reading what readTexts and readDocuments throw.
 */
export function readSectioned(options: SectionOptions): SectionedInput {
  const drops = new Drops()
  return { texts: stream(options, drops), dropped: () => drops.counts() }
}

interface Found {
  place: string
  sections: Section[]
  source?: string
  lineage: Lineage
}

async function* stream(options: SectionOptions, drops: Drops): AsyncGenerator<SectionedText> {
  const { limit, minTurns, maxTurns } = options
  let index = 0
  for await (const { place, sections, source, lineage } of documents(options, drops)) {
    if (sections.length < minTurns) {
      drops.add(sections.length === 0 ? 'no section' : `fewer than ${minTurns} sections`, place)
      continue
    }
    for (const part of inParts(sections, maxTurns)) {
      yield {
        index: index++,
        id: hashOf(part.map(({ text }) => text).join('\0')),
        sections: part,
        ...(source === undefined ? {} : { source }),
        lineage: { ...lineage, ...spanOver(part) },
      }
      if (index === limit) return
    }
  }
}

async function* documents(options: SectionOptions, drops: Drops): AsyncGenerator<Found> {
  const kind = options.input === '-' ? undefined : kindOf(options.input)
  if (kind === undefined || kind === 'records') yield* fromRows(options, drops)
  else yield* fromFiles(options, drops)
}

async function* fromRows(options: SectionOptions, drops: Drops): AsyncGenerator<Found> {
  let open: (Found & { document: string }) | undefined
  for await (const row of readTexts(options.input, { drops, column: options.column })) {
    const { document } = row.extra
    const isSection = typeof document === 'string' && document !== ''
    if (open && isSection && open.document === document) {
      open.sections.push(sectionOf(row))
      continue
    }
    if (open) yield open
    open = isSection ? { ...originOf(row), document, sections: [sectionOf(row)] } : undefined
    if (!isSection) {
      const found = cutText(row, options, drops)
      if (found) yield found
    }
  }
  if (open) yield open
}

/** A page, a crawl of pages, a Markdown or text file. */
async function* fromFiles(options: SectionOptions, drops: Drops): AsyncGenerator<Found> {
  for await (const document of readDocuments(options.input, { drops, format: 'auto' })) {
    const { place, source, url, license } = document
    const found = cut(document, options, drops)
    if (!found) continue
    const sections = found.drafts.map(({ text, heading, from, to }) => ({
      ...headed(text, heading),
      span: [from, to] as [number, number],
    }))
    const known = lineageOf({ document: hashOf(document.content), place, url, license, title: found.title })
    yield { place, sections, source, lineage: known }
  }
}

function sectionOf({ text, extra }: TextRow): Section {
  const { heading, span } = lineageOf(extra)
  return {
    ...(typeof extra.id === 'string' ? { id: extra.id } : {}),
    text,
    ...(heading === undefined ? {} : { heading }),
    ...(span === undefined ? {} : { span }),
  }
}

function originOf({ extra, place }: TextRow): Omit<Found, 'sections'> {
  const { heading: _, span: __, ...lineage } = lineageOf(extra)
  return { place, ...(typeof extra.source === 'string' ? { source: extra.source } : {}), lineage }
}

/** A text in a row that nobody has cut before. */
function cutText(row: TextRow, bounds: SectionOptions, drops: Drops): Found | undefined {
  const { text, place } = row
  const origin = originOf(row)
  const { title } = origin.lineage
  const found = cut({ kind: kindByContent(text), content: text, place, title }, bounds, drops)
  return (
    found && {
      ...origin,
      sections: found.drafts.map(({ text, heading }) => headed(text, heading)),
      lineage: { ...lineageOf({ document: hashOf(text), place, title: found.title }), ...origin.lineage },
    }
  )
}

type Uncut = Pick<CorpusDocument, 'kind' | 'content' | 'place' | 'title'>

function cut(
  document: Uncut,
  bounds: SectionOptions,
  drops: Drops,
): { drafts: Draft[]; title: string | null } | undefined {
  const outline = outlineOf(document)
  if (!('fault' in outline)) {
    return { drafts: cutSections(outline.blocks, bounds).drafts, title: titleOf(document, outline) }
  }
  drops.addMalformed(document.place, `the document ${outline.fault}`)
  return undefined
}

/** With the id that `segment` would give it. */
function headed(text: string, heading: string | undefined): Section {
  return { id: hashOf(text), text, ...(heading === undefined ? {} : { heading }) }
}

function hashOf(text: string): string {
  return sha256(text).slice(0, 16)
}

/** As few parts as may be, of about the same length. */
function inParts(sections: Section[], most: number): Section[][] {
  const parts = Math.ceil(sections.length / most)
  return Array.from({ length: parts }, (_, part) =>
    sections.slice(Math.floor((part * sections.length) / parts), Math.floor(((part + 1) * sections.length) / parts)),
  )
}

function spanOver(sections: readonly Section[]): Pick<Lineage, 'span'> {
  const spans = sections.flatMap(({ span }) => (span ? [span] : []))
  if (spans.length < sections.length) return {}
  return { span: [Math.min(...spans.map(([from]) => from)), Math.max(...spans.map(([, to]) => to))] }
}
