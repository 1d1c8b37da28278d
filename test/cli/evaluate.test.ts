// `bt-native evaluate` from flags to tables and files.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { Command } from 'commander'
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { addEvaluate } from '../../src/cli/evaluate.js'

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
