import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { folderWith, jsonl } from '../data/fixture.js'
import { prose } from '../segment/corpus.js'
import { runCli } from './run-cli.js'

const events = (stdout: string) =>
  stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>)
const corpusOf = (count: number) => jsonl(Array.from({ length: count }, (_, seed) => ({ text: prose(900, seed) })))

describe('bt-native segment', () => {
  test('says what it read, kept and left out, and what comes next', async () => {
    const cwd = await folderWith({ 'a.jsonl': `${corpusOf(3)}no\n`, 'b, c.md': `# B\n\n${prose(900, 9)}`, 'd.png': '' })
    const { code, stdout, stderr } = await runCli(
      ['segment', '--input', 'a.jsonl', 'b, c.md', '--show', '1', '--mask-pii', 'email,phone'],
      { cwd },
    )
    expect(stderr).toMatch(/corpus +2 files · /)
    expect(stdout).toMatch(/^\(no heading\)\n[\s\S]*a\.jsonl:1, characters 0 to \d+$/m)
    expect(stdout).toMatch(/^read +4 documents in 2 files\nkept +4 segments in a\.segments\.jsonl\nlength +mean /m)
    expect(stdout).toMatch(/^dropped +1 \(20\.0 %\)\n +1 {2}malformed +a\.jsonl:4\n {2}a\.jsonl:4: is not JSON/m)
    expect(stderr).toMatch(/next: npx bt-native generate .* --input a\.segments\.jsonl /)
    expect(code).toBe(0)
    const again = await runCli(['segment', '--input', 'a.jsonl', 'b, c.md', '--mask-pii', 'email,phone'], { cwd })
    expect(again).toMatchObject({
      code: 0,
      stdout: '',
      stderr: expect.stringMatching(/is finished already: 4 segments/),
    })
  })

  test('prints one JSON object an event with --json', async () => {
    const cwd = await folderWith({ 'a.jsonl': corpusOf(3) })
    const { stdout } = await runCli(['segment', '--input', '.', '--output', 's', '--partitions', '2', '--json'], {
      cwd,
    })
    const [started, finished] = events(stdout)
    expect(started).toMatchObject({ event: 'started', files: 1, documentsDone: 0 })
    expect(finished).toMatchObject({
      event: 'finished',
      documents: 3,
      kept: 3,
      dropped: [],
      outputs: ['s/part-00000-of-00002.parquet', 's/part-00001-of-00002.parquet'],
    })
  })

  test.each([
    ['no input', ['segment'], /error BT_USAGE: --input is missing/],
    [
      'an ending that tells no format',
      ['segment', '--input', 'a.jsonl', '--output', 'x.csv'],
      /error BT_USAGE: --output x\.csv: the name ends in none of/,
    ],
    [
      'bounds that no cut can meet',
      ['segment', '--input', 'a.jsonl', '--max-characters', '700'],
      /error BT_USAGE: a longest segment of 700/,
    ],
    [
      'a language that cannot be told',
      ['segment', '--input', 'a.jsonl', '--lang', 'xx'],
      /error BT_USAGE: the language "xx" cannot be told/,
    ],
    [
      'a kind of data that is not known',
      ['segment', '--input', 'a.jsonl', '--mask-pii', 'names'],
      /error BT_USAGE: --mask-pii: /,
    ],
  ])('refuses %s', async (_, args, message) => {
    const cwd = await folderWith({ 'a.jsonl': corpusOf(1) })
    const { code, stderr } = await runCli(args, { cwd })
    expect(stderr).toMatch(message)
    expect(code).toBe(2)
    expect(await readdir(cwd)).toEqual(['a.jsonl'])
  })

  test('names file and line of what it cannot read, in one line', async () => {
    const cwd = await folderWith({ 'a.jsonl': `${corpusOf(1)}no\n` })
    const { code, stderr } = await runCli(['segment', '--input', 'a.jsonl', '--strict'], { cwd })
    expect(stderr).toMatch(/^error BT_DATA_MALFORMED: a\.jsonl:2: is not JSON.*\n {2}Mend the line/m)
    expect(code).toBe(1)
  })

  test('keeps what it read at Ctrl-C, says how to go on, and goes on', async () => {
    const cwd = await folderWith()
    await mkdir(join(cwd, 'in'))
    for (let part = 0; part < 20; part++) await writeFile(join(cwd, 'in', `${part}.jsonl`), corpusOf(150))
    const args = ['segment', '--input', 'in', '--output', 'out.jsonl', '--json']
    let asked = false
    const stopped = await runCli(args, {
      cwd,
      onOutput: (_, child) => {
        if (!asked) setTimeout(() => child.kill('SIGINT'), 400)
        asked = true
      },
    })
    expect(stopped.code).toBe(130)
    expect(events(stopped.stdout).at(-1)).toMatchObject({ event: 'interrupted', interrupted: true })
    const resumed = await runCli(args, { cwd })
    const [started, ...others] = events(resumed.stdout)
    expect(started!.documentsDone).toBe(events(stopped.stdout).at(-1)!.documents)
    expect(others.at(-1)).toMatchObject({ event: 'finished', kept: 150 })
    expect((await readFile(join(cwd, 'out.jsonl'), 'utf8')).split('\n')).toHaveLength(151)
  })
})
