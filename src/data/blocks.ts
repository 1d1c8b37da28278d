// Gzip in blocks that tell their own length, so that a file that was left in the midst of one can be cut back to the last
// whole one without unpacking from its start: BGZF, the form of bgzip and htslib, which every gzip reader reads.

import type { FileHandle } from 'node:fs/promises'
import { crc32, deflateRawSync, inflateRawSync } from 'node:zlib'

/** Bytes of a block before packing, so that it stays below 64 KB when it does not pack. */
export const blockBytes = 0xff00

const headBytes = 18
const tailBytes = 8

/** Packs bytes as one block after another. */
export function packBlocks(bytes: Buffer): Buffer {
  const blocks: Buffer[] = []
  for (let start = 0; start < bytes.length; start += blockBytes) {
    blocks.push(packBlock(bytes.subarray(start, start + blockBytes)))
  }
  return Buffer.concat(blocks)
}

/** RFC 1952, with the extra field "BC" that holds the block's length. */
function packBlock(bytes: Buffer): Buffer {
  const packed = deflateRawSync(bytes)
  const block = Buffer.alloc(headBytes + packed.length + tailBytes)
  block.set([0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 6, 0, 0x42, 0x43, 2, 0])
  block.writeUInt16LE(block.length - 1, 16)
  block.set(packed, headBytes)
  block.writeUInt32LE(crc32(bytes), headBytes + packed.length)
  block.writeUInt32LE(bytes.length, headBytes + packed.length + 4)
  return block
}

export interface Block {
  /** Unpacked. */
  bytes: Buffer
  /** Place in the file after it. */
  end: number
}

/** The whole blocks of a file from its start, up to the first that is cut off, damaged or of another kind. */
export async function* readBlocks(file: FileHandle): AsyncGenerator<Block> {
  const head = Buffer.alloc(headBytes)
  for (let start = 0; ; ) {
    if (!(await fills(file, head, start)) || !isHead(head)) return
    const block = Buffer.alloc(head.readUInt16LE(16) + 1)
    if (block.length < headBytes + tailBytes || !(await fills(file, block, start))) return
    const bytes = unpacked(block)
    if (!bytes) return
    start += block.length
    yield { bytes, end: start }
  }
}

async function fills(file: FileHandle, buffer: Buffer, position: number): Promise<boolean> {
  const { bytesRead } = await file.read(buffer, 0, buffer.length, position)
  return bytesRead === buffer.length
}

function isHead(head: Buffer): boolean {
  return head.readUInt32BE(0) === 0x1f8b0804 && head.readUInt32BE(10) === 0x06004243
}

function unpacked(block: Buffer): Buffer | undefined {
  const end = block.length - tailBytes
  try {
    const bytes = inflateRawSync(block.subarray(headBytes, end), { maxOutputLength: 1 << 16 })
    const whole = block.readUInt32LE(end) === crc32(bytes) && block.readUInt32LE(end + 4) === bytes.length
    return whole ? bytes : undefined
  } catch {
    return undefined // not deflate: as good as cut off
  }
}
