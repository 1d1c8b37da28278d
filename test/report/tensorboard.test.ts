import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { packageRoot } from '../../src/paths.js'
import { crc32c, restartRecord, scalarRecord, versionRecord } from '../../src/report/tensorboard.js'

test("records are, byte for byte, those of tensorboard's own writer", () => {
  const records = [
    versionRecord(1700000000.25),
    restartRecord({ wallTime: 1700000000.5, step: 8 }),
    scalarRecord({ wallTime: 1700000001.5, step: 0 }, [{ tag: 'loss/validation', value: 2.75 }]),
    scalarRecord({ wallTime: 1700000002, step: 9 }, [
      { tag: 'loss/train', value: 3.5 },
      { tag: 'learning_rate', value: 0 },
    ]),
    scalarRecord({ wallTime: 1700000003, step: 300000 }, [
      { tag: 'größe', value: Number.POSITIVE_INFINITY },
      { tag: 'x'.repeat(200), value: -1e-9 },
    ]),
  ]
  const theirs = readFileSync(join(packageRoot, 'test', 'fixtures', 'report', 'scalars.tfevents'))
  expect(Buffer.concat(records).toString('hex')).toBe(theirs.toString('hex'))
})

test('the checksum is CRC-32C, by the values that RFC 3720 gives', () => {
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa)
  expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43)
  expect(crc32c(Uint8Array.from({ length: 32 }, (_, index) => index))).toBe(0x46dd794e)
})
