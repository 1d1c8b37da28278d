import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatMillions,
  formatPercent,
  plural,
} from '../../src/cli/format.js'
import { openTerminal } from '../../src/cli/terminal.js'

let stderr: string
let stdout: string
beforeEach(() => {
  stderr = ''
  stdout = ''
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    stderr += text
    return true
  })
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    stdout += text
    return true
  })
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

describe('in a pipe', () => {
  test('progress is a line each tenth of the work', () => {
    vi.useFakeTimers()
    const { progress } = openTerminal()
    for (let done = 1; done <= 200; done++) {
      progress({ label: 'writing', done, total: 200, unit: 'rows' })
      vi.advanceTimersByTime(200)
    }
    const lines = stderr.trimEnd().split('\n')
    expect(lines).toHaveLength(10)
    expect(lines[0]).toMatch(/writing.* 10 %.*20\/200 rows/)
    expect(stderr).not.toContain('\r')
  })

  test('progress of what takes less than two seconds is not spoken of; a live line is', () => {
    const { progress, live } = openTerminal()
    for (let done = 1; done <= 20; done++) progress({ label: 'writing', done, total: 20, unit: 'rows' })
    expect(stderr).toBe('')
    for (let step = 1; step <= 20; step++) live('step', step / 20, () => `step ${step}`)
    expect(stderr.trimEnd().split('\n')).toEqual(Array.from({ length: 10 }, (_, tenth) => `step ${(tenth + 1) * 2}`))
  })

  test('a line too long for its bar goes without it, and keeps the time that is left', () => {
    vi.useFakeTimers()
    const { progress } = openTerminal()
    for (let done = 1; done <= 20; done++) {
      progress({ label: 'comparing each of the outputs with its own true text', done, total: 20, unit: 'rows' })
      vi.advanceTimersByTime(2000)
    }
    const first = stderr.split('\n')[0]!
    expect(first).not.toContain('█')
    expect(first).toMatch(/rows\/s {2}eta \d+ s$/)
  })

  test('slow progress is a line each 30 s', () => {
    vi.useFakeTimers()
    const { progress } = openTerminal()
    for (let second = 0; second < 95; second++) {
      progress({ label: 'writing', done: second, total: 100_000, unit: 'rows' })
      vi.advanceTimersByTime(1000)
    }
    expect(stderr.trimEnd().split('\n')).toHaveLength(3)
  })

  test('progress without a known end still speaks each 30 s', () => {
    vi.useFakeTimers()
    const { progress } = openTerminal()
    for (let second = 0; second <= 61; second++) {
      progress({ label: 'reading', done: second * 1e6, unit: 'bytes' })
      vi.advanceTimersByTime(1000)
    }
    expect(stderr.trimEnd().split('\n')).toHaveLength(2)
    expect(stderr).toMatch(/30 MB/)
  })
})

describe('with --json', () => {
  test('stdout carries one object a line and stderr only warnings', () => {
    const terminal = openTerminal({ json: true })
    terminal.info('hello')
    terminal.event({ event: 'a', x: 1 })
    terminal.warn('careful')
    vi.useFakeTimers()
    for (let done = 0; done <= 10; done++) {
      terminal.progress({ label: 'w', done, total: 10, unit: 'rows' })
      vi.advanceTimersByTime(2500)
    }
    const events = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(events.slice(0, 2)).toEqual([
      { event: 'a', x: 1 },
      { event: 'warning', message: 'careful' },
    ])
    expect(events.slice(2)).toHaveLength(10)
    expect(events.at(-1)).toEqual({ event: 'progress', label: 'w', done: 10, total: 10, unit: 'rows' })
    expect(stderr).toBe('warning: careful\n')
  })
})

test('results carry colours to a terminal, not to a file', () => {
  for (const [name, value] of Object.entries({ FORCE_COLOR: '', NO_COLOR: '', TERM: 'xterm' })) vi.stubEnv(name, value)
  const kinds = [process.stderr, process.stdout].map((stream) => [stream, stream.isTTY] as const)
  try {
    process.stderr.isTTY = true
    for (const shown of [true, false]) {
      process.stdout.isTTY = shown
      const terminal = openTerminal()
      terminal.result(terminal.bold('done'))
    }
    expect(stdout).toBe('\u001b[1mdone\u001b[0m\ndone\n')
  } finally {
    for (const [stream, isTTY] of kinds) stream.isTTY = isTTY
    vi.unstubAllEnvs()
  }
})

test('numbers are written for a person', () => {
  expect([formatCount(1342.4), formatCount(0.53, 2), formatBytes(1.9e9), formatBytes(812)]).toEqual([
    '1,342',
    '0.53',
    '1.9 GB',
    '812 B',
  ])
  expect([formatDuration(42), formatDuration(302), formatDuration(3723), formatDuration(Number.NaN)]).toEqual([
    '42 s',
    '5:02',
    '1:02:03',
    '--:--',
  ])
  expect([formatMillions(134515008), formatMillions(921600), formatMillions(1.1e9)]).toEqual([
    '134.5 M',
    '921,600',
    '1.10 B',
  ])
  expect([formatPercent(0.118), formatPercent(0.0068), formatPercent(1)]).toEqual(['11.8 %', '0.68 %', '100 %'])
  expect([plural(1, 'row'), plural(2410, 'row')]).toEqual(['1 row', '2,410 rows'])
})
