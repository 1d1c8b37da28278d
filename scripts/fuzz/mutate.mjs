// Damages bytes as broken disks, cut-off downloads and hostile authors do. Knows no format but JSON's brackets.

/** Bytes that readers decide by: magic numbers, markers of text formats, and numbers at the ends of their types. */
const words = [
  ...[
    'GGUF',
    'PAR1',
    '\x1f\x8b',
    '\x1f\x8b\x08\x04',
    'PK\x03\x04',
    '\xff\xfe',
    '\xef\xbb\xbf',
    'WARC/1.0\r\n',
    '\r\n\r\n',
  ],
  ...[
    '{',
    '}',
    '[',
    ']',
    '"',
    '\\',
    '\\u0000',
    '\\ud800',
    ',',
    ':',
    '\n',
    '\0',
    'null',
    'true',
    '-1',
    '1e999',
    '{}',
    '[]',
    '""',
  ],
  ...['0', '0.5', '4294967295', '4294967296', '9007199254740993', '99999999999', '1e9', '"__proto__"', '"constructor"'],
  ...['<', '>', '<!--', '</', '<p>', '<table>', '&#x110000;', '\ufeff', '> ', '- ', '```', '#', '{%', '%}', '{{', '}}'],
].map((text) => Buffer.from(text, 'latin1'))

const edges = [
  0n,
  1n,
  0x7fn,
  0xffn,
  0x7fffn,
  0xffffn,
  0x7fffffffn,
  0xffffffffn,
  1n << 32n,
  (1n << 53n) + 1n,
  (1n << 63n) - 1n,
  (1n << 64n) - 1n,
]

function replace(bytes, at, length, by) {
  return Buffer.concat([bytes.subarray(0, at), by, bytes.subarray(at + length)])
}

/** Each takes bytes (not empty), `random`, and another seed's bytes; it gives new ones. */
const mutators = {
  bits(bytes, random) {
    const copy = Buffer.from(bytes)
    for (let left = 1 + random(8); left > 0; left--) copy[random(copy.length)] ^= 1 << random(8)
    return copy
  },
  byte(bytes, random) {
    const copy = Buffer.from(bytes)
    copy[random(copy.length)] = random(256)
    return copy
  },
  cut: (bytes, random) => bytes.subarray(0, random(bytes.length)),
  drop(bytes, random) {
    const at = random(bytes.length)
    return replace(bytes, at, 1 + random(Math.min(64, bytes.length - at)), Buffer.alloc(0))
  },
  repeat(bytes, random) {
    const at = random(bytes.length)
    const part = bytes.subarray(at, at + 1 + random(Math.min(256, bytes.length - at)))
    return replace(bytes, at, 0, Buffer.concat(Array(1 + random(20)).fill(part)))
  },
  splice(bytes, random, other) {
    const at = random(bytes.length)
    const from = random(other.length)
    return Buffer.concat([bytes.subarray(0, at), other.subarray(from)])
  },
  word: (bytes, random) => replace(bytes, random(bytes.length), random(2) * 4, words[random(words.length)]),
  /** A length or a count, of 1, 2, 4 or 8 bytes. */
  number(bytes, random) {
    const size = 1 << random(4)
    const value = Buffer.alloc(8)
    value.writeBigUInt64LE(edges[random(edges.length)])
    return replace(bytes, random(bytes.length), size, value.subarray(0, size))
  },
  /** A number in text. */
  digits(bytes, random) {
    const found = [...bytes.toString('latin1').matchAll(/-?\d+(?:\.\d+)?/g)]
    if (found.length === 0) return mutators.byte(bytes, random)
    const { index, 0: text } = found[random(found.length)]
    const values = [
      '0',
      '-1',
      '1.5',
      '1e308',
      '1e999',
      '2147483648',
      '4294967296',
      '1000000000',
      '9007199254740993',
      'null',
      '"x"',
      '[]',
      '{}',
    ]
    return replace(bytes, index, text.length, Buffer.from(values[random(values.length)]))
  },
  /** A value of JSON by one of another kind. */
  value(bytes, random) {
    const found = [
      ...bytes.toString('latin1').matchAll(/(?<=[:[,]\s*)(?:"(?:[^"\\]|\\.){0,80}"|true|false|null|\{\}|\[\])/g),
    ]
    if (found.length === 0) return mutators.word(bytes, random)
    const { index, 0: text } = found[random(found.length)]
    const values = ['null', 'true', '-7', '""', '"x"', '[]', '{}', '[null]', '{"a":1}', '"\\ud800"']
    return replace(bytes, index, text.length, Buffer.from(values[random(values.length)]))
  },
  /** Brackets within brackets, thousands deep. */
  deep(bytes, random) {
    const depth = 10 ** (1 + random(4))
    const [open, close] = [
      ['[', ']'],
      ['{"a":', '}'],
      ['<b>', '</b>'],
      ['<div>', ''],
      ['> ', ''],
      ['(', ')'],
    ][random(6)]
    return replace(bytes, random(bytes.length), 0, Buffer.from(`${open.repeat(depth)}1${close.repeat(depth)}`))
  },
}
const kinds = Object.values(mutators)

/** `bytes` after one to four changes. */
export function mutate(bytes, random, other) {
  let changed = bytes
  for (let left = 1 + random(4); left > 0; left--) {
    if (changed.length === 0) return changed
    changed = kinds[random(kinds.length)](changed, random, other.length === 0 ? changed : other)
  }
  return changed.subarray(0, 4_000_000)
}
