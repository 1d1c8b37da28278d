// TensorBoard's event records as bytes: scalars, framed as TFRecords. Files and their names are for others. Own code: the
// packages that frame records do not know events.
// Formats: tensorflow/core/util/event.proto, framework/summary.proto and lib/io/record_writer.h.

/** One point of one curve. */
export interface Scalar {
  tag: string
  value: number
}

export interface EventTime {
  /** Seconds since 1970. */
  wallTime: number
  step: number
}

/** The record that a file begins with. */
export function versionRecord(wallTime: number): Uint8Array {
  return frame(event({ wallTime, step: 0 }, bytesField(3, utf8('brain.Event:2'))))
}

/** Says that a run went on: what earlier files hold of this step and later ones no longer counts. */
export function restartRecord(time: EventTime): Uint8Array {
  const start = varintField(1, 1) // SessionLog.status = START
  return frame(event(time, bytesField(7, start)))
}

/** Values of one step. */
export function scalarRecord(time: EventTime, scalars: readonly Scalar[]): Uint8Array {
  const values = scalars.map(({ tag, value }) => {
    return bytesField(1, Buffer.concat([bytesField(1, utf8(tag)), floatField(2, value)]))
  })
  return frame(event(time, bytesField(5, Buffer.concat(values))))
}

/** An Event: wall_time = 1, step = 2 (left out where it is 0, as proto3 has it), then one of what it may hold. */
function event({ wallTime, step }: EventTime, what: Uint8Array): Uint8Array {
  return Buffer.concat([doubleField(1, wallTime), step === 0 ? none : varintField(2, step), what])
}

/** Length (8 bytes), its checksum (4), the bytes, theirs (4); little-endian. */
function frame(data: Uint8Array): Uint8Array {
  const head = Buffer.alloc(8)
  head.writeBigUInt64LE(BigInt(data.length))
  return Buffer.concat([head, maskedCrc(head), data, maskedCrc(data)])
}

/** A checksum as it is stored: turned by 15 bits and moved, so that checksums of data that hold checksums differ. */
function maskedCrc(data: Uint8Array): Buffer {
  const crc = crc32c(data)
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE((((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0)
  return bytes
}

/** CRC-32C (Castagnoli, reflected polynomial 0x82f63b78), by a table of 256. */
export function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of data) crc = table[(crc ^ byte) & 0xff]! ^ (crc >>> 8)
  return ~crc >>> 0
}

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0)
  return crc
})

// Protocol buffers: a key of (field number, wire type), then the value.

const none = Buffer.alloc(0)

function varintField(field: number, value: number): Buffer {
  return Buffer.concat([varint(field << 3), varint(value)])
}

function doubleField(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleLE(value)
  return Buffer.concat([varint((field << 3) | 1), bytes])
}

function bytesField(field: number, value: Uint8Array): Buffer {
  return Buffer.concat([varint((field << 3) | 2), varint(value.length), value])
}

function floatField(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeFloatLE(value)
  return Buffer.concat([varint((field << 3) | 5), bytes])
}

/** A whole number from 0 to 2^53, seven bits a byte, lowest first. */
function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80)
  bytes.push(rest)
  return Buffer.from(bytes)
}

function utf8(text: string): Uint8Array {
  return Buffer.from(text, 'utf8')
}
