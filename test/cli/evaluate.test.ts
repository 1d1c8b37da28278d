// `bt-native evaluate` from flags to tables and files.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { Command } from 'commander'
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { addEvaluate } from '../../src/cli/evaluate.js'
import { systemsOf } from '../../src/cli/systems.js'

const folder = mkdtempSync(join(tmpdir(), 'bt-evaluate-'))
afterAll(() => rmSync(folder, { recursive: true }))
const predictions = join(folder, 'pairs.jsonl')
const topics = 'rivers bread taxes violins glaciers magnets chess bees volcanoes maps grammar tea'.split(' ')
writeFileSync(
  predictions,
  topics
    .map((topic, index) => ({
      id: topic,
      instruction: `How do ${topic} work?`,
      response: `What there is to say of ${topic} is soon said.`,
      reference: `How do ${topic} work?`,
      finish: index === 0 ? 'length' : 'stop',
    }))
    .map((row) => `${JSON.stringify(row)}\n`)
    .join(''),
)

let stdout = ''
let stderr = ''
beforeEach(() => {
  stdout = stderr = ''
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    stdout += text
    return true
  })
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    stderr += text
    return true
  })
})
afterEach(() => {
  vi.restoreAllMocks()
  process.exitCode = undefined
})

async function run(...args: string[]): Promise<number | string | undefined> {
  const program = new Command('bt-native').exitOverride()
  addEvaluate(program)
  await program.parseAsync(['evaluate', ...args], { from: 'user' })
  return process.exitCode ?? 0
}

test('shows tables and samples', async () => {
  expect(await run('--predictions', predictions, '--bootstrap', '100', '--samples', '2')).toBe(0)
  expect(stdout).toMatch(/^ROUGE-L +100\.0 +100\.0 – 100\.0 /m)
  expect(stdout).toMatch(/^missing end +8\.3 %/m)
  expect(stdout.match(/^.*How do .* work\?.*$/gm)).toHaveLength(2)
})

test('writes JSON and Markdown, and replaces them only when told to', async () => {
  const [json, markdown] = [join(folder, 'new', 'report.json'), join(folder, 'other', 'report.md')]
  const args = ['--predictions', predictions, '--bootstrap', '50', '--output', json, '--markdown', markdown]
  expect(await run(...args)).toBe(0)
  const report = JSON.parse(readFileSync(json, 'utf8'))
  expect(report).toMatchObject({ rows: 12, metrics: { rougeL: { value: 100 } }, files: [predictions] })
  expect(readFileSync(markdown, 'utf8')).toContain('| ROUGE-L | 100.0 |')
  expect(await run(...args)).toBe(1)
  expect(stderr).toContain('BT_OUTPUT_EXISTS')
  process.exitCode = undefined
  expect(await run(...args, '--force')).toBe(0)
})

test('--json puts one JSON object on stdout', async () => {
  expect(await run('--predictions', predictions, '--bootstrap', '0', '--json')).toBe(0)
  const event = JSON.parse(stdout)
  expect(event).toMatchObject({ event: 'evaluation', referenced: 12 })
  expect(event.metrics.rougeL.interval).toBeUndefined()
})

test('Ctrl-C ends a long evaluation with exit code 130, and nothing is written', async () => {
  const json = join(folder, 'interrupted.json')
  const listeners = process.listenerCount('SIGINT')
  const running = run('--predictions', predictions, '--bootstrap', '1000000', '--output', json)
  await vi.waitUntil(() => process.listenerCount('SIGINT') > listeners)
  await setTimeout(300) // into the resampling, which would take a minute
  process.emit('SIGINT')
  expect(await running).toBe(130)
  expect(stderr).toContain('stopping; nothing will be written')
  expect(stderr).toContain('error BT_INTERRUPTED: the evaluation was interrupted: nothing was written')
  expect(existsSync(json)).toBe(false)
  expect(process.listenerCount('SIGINT')).toBe(listeners)
})

describe('leaks', () => {
  const leaking = join(folder, 'leaking.jsonl')
  writeFileSync(
    leaking,
    `${JSON.stringify({ instruction: 'Say what colour this is in French. Blue', response: 'x' })}\n`,
  )
  test('are words of --ask', async () => {
    await run('--predictions', leaking, '--bootstrap', '0', '--json', '--ask', 'Say what colour this is in French.')
    expect(JSON.parse(stdout).metrics.leaks.value).toBe(100)
  })
  test('are words of the prompt of --adapter, which must say what it was', async () => {
    const template = { task: 'backward', form: 'plain', ask: 'Say what colour this is.', hash: '0' }
    writeFileSync(join(folder, 'bt_native.json'), JSON.stringify({ format: 1, template }))
    await run('--predictions', leaking, '--bootstrap', '0', '--json', '--adapter', folder)
    expect(JSON.parse(stdout).metrics.leaks.value).toBe(100)
    expect(await run('--predictions', leaking, '--adapter', tmpdir())).toBe(1)
    expect(stderr).toContain('BT_ADAPTER_NOT_FOUND')
  })
})

test.each([
  ['--columns', 'nonsense'],
  ['--bootstrap', '-1'],
  ['--samples', 'many'],
])('%s %s is wrong usage', async (flag, value) => {
  await expect(run('--predictions', predictions, flag, value)).rejects.toMatchObject({
    code: 'commander.invalidArgument',
  })
})

describe('several prediction files', () => {
  const others = join(folder, 'others.jsonl')
  writeFileSync(
    others,
    topics
      .slice(2)
      .map((topic) => ({
        id: topic,
        instruction: `Name ${topic}`,
        response: `What there is to say of ${topic} is soon said.`,
      }))
      .map((row) => `${JSON.stringify(row)}\n`)
      .join(''),
  )
  test('are systems of their own, compared on the rows that all have', async () => {
    const json = join(folder, 'systems.json')
    const args = ['--bootstrap', '100', '--output', json, '--markdown', join(folder, 'systems.md')]
    expect(await run('--predictions', predictions, `plain=${others}`, ...args)).toBe(0)
    expect(stdout).toContain('2 systems on the same 10 rows (matched by id), all with a true text. Baseline: pairs.')
    expect(stdout).toMatch(/^plain against pairs +0 +0 +10$/m)
    expect(stdout).toMatch(/^ROUGE-L +100\.0 +33\.3 +-66\.7 +-66\.7 – -66\.7 +\S+$/m)
    expect(stdout).toContain(`Left out of pairs: ${predictions}:1, ${predictions}:2.`)
    const report = JSON.parse(readFileSync(json, 'utf8'))
    expect(report).toMatchObject({ rows: 10, baseline: 'pairs', files: { pairs: [predictions], plain: [others] } })
    expect(report.differences[0].metrics.rougeL.value).toBeCloseTo(-200 / 3)
    const markdown = readFileSync(join(folder, 'systems.md'), 'utf8')
    expect(markdown).toContain('## plain against pairs')
    expect(markdown).toContain('| pairs, shuffled |')
    expect(markdown).toContain('| ROUGE-L precision |')
  })
  test('are held against --baseline', async () => {
    await run('--predictions', predictions, others, '--baseline', 'others', '--bootstrap', '20')
    expect(stdout).toMatch(/^pairs against others +10 +0 +0$/m)
    expect(await run('--predictions', predictions, others, '--baseline', 'x')).toBe(2)
  })
  test('are one system with --together, and files of one name are', async () => {
    expect(await run('--predictions', predictions, others, '--together', '--bootstrap', '0', '--json')).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ event: 'evaluation', rows: 22, referenced: 12 })
    expect(systemsOf(['a=1.jsonl', 'b=2.jsonl', 'a=3.jsonl'], false)).toEqual([
      { name: 'a', files: ['1.jsonl', '3.jsonl'] },
      { name: 'b', files: ['2.jsonl'] },
    ])
  })
  test('of one file name keep their paths; a file whose own name holds "=" is a file', () => {
    expect(systemsOf(['x/p.jsonl', 'y/p.jsonl'], false).map(({ name }) => name)).toEqual(['x/p.jsonl', 'y/p.jsonl'])
    expect(systemsOf(['a=1.jsonl'], false, (path) => path === 'a=1.jsonl')).toEqual([
      { name: 'a-1', files: ['a=1.jsonl'] },
    ])
  })
})
