// The command as typed, run in this process with its output caught.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Command } from 'commander'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { addPreprocess } from '../../src/cli/preprocess.js'
import { fileWith, fixture, folderWith, jsonl } from './fixture.js'

afterEach(() => {
  vi.restoreAllMocks()
  process.exitCode = undefined
})

async function bt(...args: string[]) {
  const caught = { out: '', err: '' }
  const into = (name: 'out' | 'err') => (chunk: unknown) => {
    caught[name] += String(chunk)
    return true
  }
  vi.spyOn(process.stdout, 'write').mockImplementation(into('out') as never)
  vi.spyOn(process.stderr, 'write').mockImplementation(into('err') as never)
  const program = new Command('bt-native').exitOverride()
  addPreprocess(program)
  for (const command of program.commands) command.exitOverride()
  const error: unknown = await program.parseAsync(['preprocess', ...args], { from: 'user' }).catch((thrown) => thrown)
  vi.restoreAllMocks()
  return { ...caught, code: process.exitCode, usage: (error as { code?: string }).code }
}

describe('bt-native preprocess', () => {
  test('says what it read, kept and left out, and what comes next', async () => {
    const output = join(await folderWith(), 'out.jsonl')
    const { out, err, code } = await bt('--input', fixture('lima.jsonl'), fixture('alpaca.json'), '--output', output)
    expect(code).toBeUndefined()
    expect(err).not.toContain('error')
    expect(out).toMatch(/read +.*lima\.jsonl {3}LIMA, 5 records · 4 rows kept\n +.*alpaca\.json {3}Alpaca, 2 records/)
    expect(out).toContain(`6 rows in ${output}`)
    expect(out).toMatch(/dropped +1 of 7 rows \(14\.3 %\)\n +1 {2}no reply in the conversation +.*lima\.jsonl:3\n/)
    expect(out).toContain(`next: npx bt-native train --model smollm2-135m --data ${output} --output`)
  })

  test.each(['--single-turn', '--filter_single_turn'])('%s keeps single-turn rows alone', async (flag) => {
    const output = join(await folderWith(), 'out.jsonl')
    await bt('--input', fixture('lima.jsonl'), '--output', output, flag)
    expect((await readFile(output, 'utf8')).trim().split('\n')).toHaveLength(2)
  })

  test('flags reach the filters', async () => {
    const folder = await folderWith()
    const input = await fileWith(
      'in.jsonl',
      jsonl([
        { t: 'Say it', b: 'It is said.' },
        { t: 'x', b: 'It is said.' },
      ]),
    )
    const flags = [
      '--columns',
      'instruction=t,response=b',
      '--min-instruction',
      '3',
      '--near-duplicates',
      'off',
      '--lang',
      'en,de',
    ]
    const { code } = await bt(
      '--input',
      input,
      '--output',
      join(folder, 'o.jsonl'),
      ...flags,
      '--report',
      join(folder, 'r.json'),
    )
    expect(code).toBeUndefined()
    const report = JSON.parse(await readFile(join(folder, 'r.json'), 'utf8')) as Record<string, unknown>
    expect(report).toMatchObject({ kept: 1, dropped: [{ reason: 'instruction under 3 characters', count: 1 }] })
  })

  test('--json prints one object with the report', async () => {
    const output = join(await folderWith(), 'out.jsonl')
    const { out } = await bt('--input', fixture('lima.jsonl'), '--output', output, '--json', '--validation', '0.5')
    const events = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(events.at(-1)).toMatchObject({ event: 'preprocessed', kept: 4, outputs: { train: output } })
  })

  test('an error has its code, place and remedy, and exit code 1', async () => {
    const input = await fileWith('in.jsonl', jsonl([{ a: 1 }]))
    const { err, code } = await bt('--input', input, '--output', join(await folderWith(), 'out.jsonl'))
    expect(code).toBe(1)
    expect(err).toContain(`BT_DATA_COLUMN: ${input}:1: no known pair of columns (columns here: a)\n  Say which columns`)
  })

  test('wrong numbers are wrong usage', async () => {
    const { usage, err } = await bt('--input', 'a', '--output', 'b', '--max-rank', 'best')
    expect(usage).toBe('commander.invalidArgument')
    expect(err).toContain('--max-rank')
  })
})
