// Blocks to segments: the text under a heading, within bounds of length. Short neighbours are joined, long texts are cut
// where a reader would pause.
import { characterCount, normaliseText } from '../data/normalise.js'
import { isJunkHeading } from './headings.js'
import type { Block, Draft } from './types.js'

export interface Bounds {
  minCharacters: number
  maxCharacters: number
}

export interface Cut {
  drafts: Draft[]
  dropped: (Draft & { reason: string })[]
}

interface Section {
  heading?: Block
  level: number
  blocks: Block[]
  children: Section[]
}

/** A section's own text, or a subsection with all below it: what is joined or stands alone. */
interface Part {
  section?: Section
  heading?: string | undefined
  text: string
  characters: number
  blocks: Block[]
}

/**
 * Segments in document order. A section between the bounds is one segment; its heading is no part of the text. Sections
 * that are too short are joined with their neighbours under the same heading, each with its own heading as a line, until
 * they are long enough. A section that is too long is cut between paragraphs, or else between sentences or lines, into
 * pieces of about the same length. Sections under headings that promise no text (references, comments) are left out.
 */
export function cutSections(blocks: readonly Block[], bounds: Bounds): Cut {
  const cut: Cut = { drafts: [], dropped: [] }
  const root = treeOf(blocks)
  prune(root, cut)
  emit(root, undefined, bounds, cut)
  return cut
}

function treeOf(blocks: readonly Block[]): Section {
  const root: Section = { level: 0, blocks: [], children: [] }
  const path = [root]
  for (const block of blocks) {
    if (block.kind !== 'heading') {
      path.at(-1)!.blocks.push(block)
      continue
    }
    const section: Section = { heading: block, level: block.level ?? 1, blocks: [], children: [] }
    while (path.at(-1)!.level >= section.level) path.pop()
    path.at(-1)!.children.push(section)
    path.push(section)
  }
  return root
}

function prune(section: Section, cut: Cut): void {
  section.children = section.children.filter((child) => {
    if (!isJunkHeading(child.heading!.text)) {
      prune(child, cut)
      return true
    }
    const inside = blocksOf(child)
    cut.dropped.push({ reason: 'junk heading', ...draftOf(textOf(child), child.heading!.text, inside) })
    return false
  })
}

/** Segments of a section: its parts, short neighbours joined. */
function emit(section: Section, above: string | undefined, bounds: Bounds, cut: Cut): void {
  const heading = section.heading?.text ?? above
  const { minCharacters, maxCharacters } = bounds
  let run: Part[] = []
  /** The last joined segment of this section, which may take what is left over. */
  let last: { draft: Draft; parts: Part[] } | undefined
  const end = (final: boolean) => {
    if (run.length === 0) return
    const draft = joined(run, section, heading)
    const length = characterCount(draft.text)
    if (length >= minCharacters) {
      last = { draft, parts: run }
      cut.drafts.push(draft)
    } else if (last && cut.drafts.at(-1) === last.draft && fits([...last.parts, ...run], maxCharacters)) {
      Object.assign(last.draft, joined([...last.parts, ...run], section, heading))
    } else cut.dropped.push({ reason: `under ${minCharacters} characters`, ...draft })
    run = []
    if (final) last = undefined
  }
  for (const part of partsOf(section)) {
    if (part.characters >= minCharacters) {
      end(true)
      if (part.section) emit(part.section, heading, bounds, cut)
      else pieces(part.blocks, heading, bounds, cut)
      continue
    }
    if (run.length > 0 && !fits([...run, part], maxCharacters)) end(false)
    run.push(part)
    if (characterCount(joinText(run, section)) >= minCharacters) end(false)
  }
  end(true)
}

function partsOf(section: Section): Part[] {
  const own = ownText(section.blocks)
  const parts: Part[] = []
  if (own !== '') parts.push({ text: own, characters: characterCount(own), blocks: section.blocks })
  for (const child of section.children) {
    const text = textOf(child)
    const blocks = blocksOf(child)
    const { text: heading } = child.heading!
    if (text !== '') parts.push({ section: child, heading, text, characters: characterCount(text), blocks })
  }
  return parts
}

function fits(parts: readonly Part[], most: number): boolean {
  return parts.reduce((sum, { characters, heading }) => sum + characters + (heading?.length ?? 0) + 8, 0) <= most
}

/** One part stands under its own heading; several carry theirs as lines, under the section's. */
function joined(parts: readonly Part[], section: Section, heading: string | undefined): Draft {
  const alone = parts.length === 1 ? parts[0]! : undefined
  const blocks = parts.flatMap((part) => part.blocks)
  return draftOf(joinText(parts, section), alone?.heading ?? heading, blocks)
}

function joinText(parts: readonly Part[], { level }: Section): string {
  if (parts.length === 1) return parts[0]!.text
  return parts.map((part) => (part.section ? withHeading(part.section, level) : part.text)).join('\n\n')
}

/** A section's text without its own heading, with those below it as lines. */
function textOf(section: Section): string {
  const below = section.children.map((child) => withHeading(child, section.level))
  return [ownText(section.blocks), ...below].filter((text) => text !== '').join('\n\n')
}

/** Nothing where there is a heading alone. */
function withHeading(section: Section, above: number): string {
  const text = textOf(section)
  return text === '' ? '' : `${'#'.repeat(Math.min(6, section.level - above + 1))} ${section.heading!.text}\n\n${text}`
}

function ownText(blocks: readonly Block[]): string {
  return blocks.map(({ text }) => text).join('\n\n')
}

function blocksOf(section: Section): Block[] {
  return [...(section.heading ? [section.heading] : []), ...section.blocks, ...section.children.flatMap(blocksOf)]
}

function draftOf(text: string, heading: string | undefined, blocks: readonly Block[]): Draft {
  return { text: normaliseText(text), heading, ...spanOver(blocks) }
}

function spanOver(places: readonly { from: number; to: number }[]): { from: number; to: number } {
  let from = places[0]?.from ?? 0
  let to = places[0]?.to ?? 0
  for (const place of places) {
    from = Math.min(from, place.from)
    to = Math.max(to, place.to)
  }
  return { from, to }
}

interface Item {
  text: string
  /** What parts it from the item before it. */
  joiner: string
  characters: number
  from: number
  to: number
}

/** A section's own text as one segment or, where it is too long, as several of about the same length. */
function pieces(blocks: readonly Block[], heading: string | undefined, bounds: Bounds, cut: Cut): void {
  const { minCharacters, maxCharacters } = bounds
  const items = blocks.flatMap((block) => itemsOf(block, maxCharacters))
  const total = items.reduce((sum, { characters, joiner }) => sum + characters + joiner.length, 0)
  const target = total / Math.ceil(total / maxCharacters)
  const groups: Item[][] = []
  let length = 0
  for (const item of items) {
    const more = item.characters + item.joiner.length
    const full = length + more > maxCharacters || length + more / 2 > target
    if (groups.length === 0 || full) groups.push([])
    length = (full ? 0 : length) + more
    groups.at(-1)!.push(item)
  }
  mergeLast(groups, bounds)
  for (const group of groups) {
    const draft = { text: normaliseText(joinItems(group)), heading, ...spanOver(group) }
    const characters = characterCount(draft.text)
    if (characters > maxCharacters) cut.dropped.push({ reason: 'nowhere to cut', ...draft })
    else if (characters < minCharacters) cut.dropped.push({ reason: `under ${minCharacters} characters`, ...draft })
    else cut.drafts.push(draft)
  }
}

function mergeLast(groups: Item[][], { minCharacters, maxCharacters }: Bounds): void {
  const last = groups.at(-1)
  const before = groups.at(-2)
  if (!last || !before || characterCount(joinItems(last)) >= minCharacters) return
  if (characterCount(joinItems([...before, ...last])) <= maxCharacters) groups.splice(-2, 2, [...before, ...last])
}

function joinItems(items: readonly Item[]): string {
  return items.map(({ text, joiner }, index) => (index === 0 ? text : joiner + text)).join('')
}

const sentences = new Intl.Segmenter(undefined, { granularity: 'sentence' })

/** A block, or where it alone is too long, its sentences or lines. */
function itemsOf(block: Block, most: number): Item[] {
  const characters = characterCount(block.text)
  if (characters <= most || block.kind === 'whole') return [{ ...block, characters, joiner: '\n\n' }]
  const verbatim = block.to - block.from === block.text.length
  const items: Item[] = []
  for (const { text, at } of block.kind === 'lines' ? linesOf(block.text) : sentencesOf(block.text)) {
    const trimmed = text.trim()
    if (trimmed === '') continue
    const start = block.from + at + text.indexOf(trimmed)
    items.push({
      text: trimmed,
      characters: characterCount(trimmed),
      joiner: items.length === 0 ? '\n\n' : block.kind === 'lines' ? '\n' : ' ',
      ...(verbatim ? { from: start, to: start + trimmed.length } : { from: block.from, to: block.to }),
    })
  }
  return items
}

function linesOf(text: string): { text: string; at: number }[] {
  return [...text.matchAll(/.+/g)].map(({ 0: line, index }) => ({ text: line, at: index }))
}

function sentencesOf(text: string): { text: string; at: number }[] {
  return Array.from(sentences.segment(text), ({ segment, index }) => ({ text: segment, at: index }))
}
