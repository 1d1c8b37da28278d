// Bytes of a page to its text: by what the server said, a byte order mark or the page's own words; else UTF-8.
import { isUtf8 } from 'node:buffer'
import { textFault } from '../data/lines.js'

/** Bytes at a page's beginning in which it may name its charset: browsers look no further. */
const searched = 4096

/**
 * @param contentType the header, where there was one: "text/html; charset=windows-1252"
 * @returns the text, or why there is none
 */
export function decodePage(bytes: Buffer, contentType?: string): { text: string } | { fault: string } {
  const named = charsetIn(contentType) ?? byteOrderMark(bytes) ?? charsetIn(metaOf(bytes))
  if (named === undefined || /^utf-?8$/i.test(named)) {
    if (!isUtf8(bytes) && named === undefined) return { fault: 'is not valid UTF-8, and names no other charset' }
    const fault = textFault(bytes)
    return fault ? { fault } : { text: new TextDecoder().decode(bytes) }
  }
  const text = decodeAs(named, bytes)
  if (text === undefined) return { fault: `names a charset that is not known: ${JSON.stringify(named.slice(0, 40))}` }
  return text.includes('\0') ? { fault: 'holds a NUL byte' } : { text }
}

function decodeAs(charset: string, bytes: Buffer): string | undefined {
  try {
    return new TextDecoder(charset).decode(bytes)
  } catch {
    return undefined // no such charset: nothing else is thrown without the option "fatal"
  }
}

function charsetIn(words: string | undefined): string | undefined {
  return /charset\s*=\s*["']?\s*([\w:.-]+)/i.exec(words ?? '')?.[1]
}

function byteOrderMark(bytes: Buffer): string | undefined {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'utf-16le'
  return bytes[0] === 0xfe && bytes[1] === 0xff ? 'utf-16be' : undefined
}

function metaOf(bytes: Buffer): string | undefined {
  const head = bytes.subarray(0, searched).toString('latin1')
  return (
    /<meta\b[^>]{0,300}?charset\s*=[^>]{0,100}>/i.exec(head)?.[0] ??
    /^\s*<\?xml[^>]{0,200}?encoding[^>]{0,60}>/i.exec(head)?.[0].replace('encoding', 'charset')
  )
}
