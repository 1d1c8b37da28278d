import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { packageRoot } from '../../src/paths.js'

/** Rows of the tables: "| `BT_CODE` | meaning | what to do |". */
const rows = readFileSync(join(packageRoot, 'docs', 'troubleshooting.md'), 'utf8')
  .split('\n')
  .map((line) => /^\| `(BT_\w+)` \|(.+)\|(.+)\|$/.exec(line))
  .filter((match) => match !== null)
  .map(([, code, meaning, remedy]) => ({ code: code!, meaning: meaning!.trim(), remedy: remedy!.trim() }))

test('every error code that can be raised is explained, and no other', () => {
  const raised = new Set([
    ...codesUnder('src', /\.ts$/),
    ...codesUnder('native', /(?<!_test|_fuzz)\.(cc|h)$/),
    ...codesIn(readFileSync(join(packageRoot, 'binding.d.ts'), 'utf8')),
  ])
  expect(raised.size).toBeGreaterThan(50)
  expect(rows.map(({ code }) => code).sort()).toEqual([...raised].sort())
})

test('each code says what it means and what to do', () => {
  for (const { code, meaning, remedy } of rows) {
    expect(meaning.length, code).toBeGreaterThan(15)
    expect(remedy.length, code).toBeGreaterThan(10)
  }
})

function codesUnder(folder: string, files: RegExp): string[] {
  return readdirSync(join(packageRoot, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => files.test(name))
    .flatMap((name) => codesIn(readFileSync(join(packageRoot, folder, name), 'utf8')))
}

/** Codes stand in quotes; macros do not, and environment variables begin with BT_NATIVE_. */
function codesIn(text: string): string[] {
  return [...text.matchAll(/(['"])(BT_[A-Z0-9_]+)\1/g)].map((match) => match[2]!).filter(isCode)
}

function isCode(name: string): boolean {
  return !name.startsWith('BT_NATIVE_')
}
