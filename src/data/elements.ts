// The elements of one JSON array, one at a time: a large array is never held whole. Values are not parsed here.
import { type Line, maxRecordBytes, textFault, tooLong } from './lines.js'

const quote = 0x22
const backslash = 0x5c
const comma = 0x2c
const newline = 0x0a
const openers = new Set([0x5b, 0x7b])
const closers = new Set([0x5d, 0x7d])

/** An element's text; `number` is the line on which it starts. */
export interface Element extends Line {
  /** From 1. */
  item: number
}

/**
 * Cuts the outermost JSON array into its elements. Brackets and quotes alone are followed, so an element may still not
 * be JSON. What stands after the array's end, or an end that never comes, is reported as a fault.
 */
export async function* readElements(
  bytes: AsyncIterable<Buffer>,
  maxBytes: number = maxRecordBytes,
): AsyncGenerator<Element> {
  const cutter = new Cutter(maxBytes)
  for await (const chunk of bytes) yield* cutter.feed(chunk)
  yield* cutter.end()
}

class Cutter {
  private line = 1
  private item = 1
  private startLine = 1
  private depth = 0
  private inString = false
  private escaped = false
  private closed = false
  private trailing = false
  private parts: Buffer[] = []
  private length = 0

  constructor(private readonly maxBytes: number) {}

  *feed(chunk: Buffer): Generator<Element> {
    let start = 0
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at]!
      if (byte === newline) this.line++
      if (this.inString) {
        if (this.escaped) this.escaped = false
        else if (byte === backslash) this.escaped = true
        else if (byte === quote) this.inString = false
        continue
      }
      if (byte <= 0x20) {
        if (this.length === 0 && at === start) start++ // white space before an element is no part of it
        continue
      }
      if (this.closed) {
        this.trailing = true
        continue
      }
      if (this.length === 0 && at === start) this.startLine = this.line
      if (byte === quote) this.inString = true
      else if (openers.has(byte)) {
        if (this.depth++ === 0) start = at + 1
      } else if (closers.has(byte)) {
        if (--this.depth > 0) continue
        this.take(chunk.subarray(start, at))
        yield* this.cut(true)
        this.closed = true
        start = chunk.length
      } else if (byte === comma && this.depth === 1) {
        this.take(chunk.subarray(start, at))
        yield* this.cut(false)
        start = at + 1
      }
    }
    if (!this.closed) this.take(chunk.subarray(start))
  }

  *end(): Generator<Element> {
    if (!this.closed) yield this.fault(this.startLine, 'the JSON array is cut off: its end is missing')
    if (this.trailing) yield this.fault(this.line, 'more stands after the end of the JSON array')
  }

  private take(part: Buffer): void {
    this.length += part.length
    if (this.length <= this.maxBytes) this.parts.push(part)
    else this.parts = []
  }

  /** Ends an element; an empty one is a fault, unless it is what stands before the array's end. */
  private *cut(last: boolean): Generator<Element> {
    const bytes = Buffer.concat(this.parts)
    const fault = this.length > this.maxBytes ? tooLong(this.length, this.maxBytes) : textFault(bytes)
    const text = fault ? '' : bytes.toString('utf8').trim()
    if (fault) yield this.fault(this.startLine, fault)
    else if (text !== '') yield { number: this.startLine, item: this.item, text }
    else if (!last) yield this.fault(this.startLine, 'is empty: two commas in a row')
    this.item++
    this.parts = []
    this.length = 0
    this.startLine = this.line
  }

  private fault(number: number, fault: string): Element {
    return { number, item: this.item, text: '', fault }
  }
}
