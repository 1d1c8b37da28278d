// Stages one after the other: what runs again, what does not, and what is left by a stop, a failure and a kill. The stages
// here copy numbers from file to file.
import { mkdir, mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { BtError } from '../../src/errors.js'
import { type ExecuteControl, execute, type Run, type StageEvent, standings } from '../../src/pipeline/execute.js'
import { FileHashes } from '../../src/pipeline/keys.js'
import type { Stage, StageResult } from '../../src/pipeline/stage.js'
import { readState } from '../../src/pipeline/state.js'

/** A folder of its own for each run. */
function temporaryFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'bt-run-'))
}

interface Fake {
  name: string
  reads?: string[]
  files?: string[]
  usesModel?: boolean
  options?: Record<string, unknown>
  /** The text to write, from those that were read. */
  make?: (texts: string[], context: Parameters<Stage['run']>[0]) => Promise<string | StageResult> | string
}

function stageOf({
  name,
  reads = [],
  files = [],
  usesModel = false,
  options = {},
  make = (texts) => texts.join('+'),
}: Fake): Stage {
  return {
    name,
    title: name,
    kind: 'data',
    folder: name,
    reads,
    files: async () => files,
    usesModel,
    options,
    outputs: [`${name}/out.txt`],
    expect: async () => ({ rowsIn: 1, makes: {} }),
    async run(context) {
      const texts = await Promise.all([...files, ...reads.map(context.at)].map((path) => readFile(path, 'utf8')))
      const made = await make(texts, context)
      if (typeof made !== 'string') return made
      await writeFile(context.at(`${name}/out.txt`), made)
      return { rowsOut: made.length, summary: {} }
    },
  }
}

/** A run as a new process opens it. */
async function open(folder: string, stages: Stage[], model = 'model'): Promise<Run> {
  const state = (await readState(folder)) ?? { format: 1 as const, version: '0', name: 'test', files: [], stages: [] }
  return { folder, stages, state, model, hashes: new FileHashes(state.files) }
}

async function go(run: Run, options: { until?: string; again?: string[] } = {}, control: ExecuteControl = {}) {
  const events: StageEvent[] = []
  const steps = execute(run, options, control)
  let next = await steps.next()
  while (!next.done) {
    events.push(next.value)
    next = await steps.next()
  }
  return { ...next.value, events }
}

/** source -> a -> b -> c, and d beside them. */
async function chain(folder: string, options: Record<string, Record<string, unknown>> = {}) {
  const source = join(folder, 'source.txt')
  await mkdir(dirname(source), { recursive: true })
  await writeFile(source, 'one')
  const stages = [
    stageOf({ name: 'a', files: [source], options: options.a ?? {} }),
    stageOf({
      name: 'b',
      reads: ['a/out.txt'],
      options: options.b ?? {},
      make: ([text]) => `${text!.length} characters`,
    }),
    stageOf({ name: 'c', reads: ['b/out.txt'], usesModel: true, options: options.c ?? {} }),
    stageOf({ name: 'd', options: options.d ?? {}, make: () => 'alone' }),
  ]
  return { source, stages }
}

describe('stages that have to run', () => {
  it('are all of them at first, in order, and none the second time', async () => {
    const folder = await temporaryFolder()
    const { stages } = await chain(folder)
    expect((await go(await open(folder, stages))).ran).toEqual(['a', 'b', 'c', 'd'])
    expect(await readFile(join(folder, 'c/out.txt'), 'utf8')).toBe('3 characters')
    expect((await go(await open(folder, stages))).ran).toEqual([])
  })

  it('are those whose options changed, and those whose input then has another content', async () => {
    const folder = await temporaryFolder()
    const { stages } = await chain(folder)
    await go(await open(folder, stages))
    const { stages: changed } = await chain(folder, { b: { extra: 1 } })
    const { ran, events } = await go(await open(folder, changed))
    // b made the same bytes again: c has nothing new to read.
    expect(ran).toEqual(['b'])
    expect(events[0]).toMatchObject({ type: 'stage-started', why: ['extra not set, now 1'] })
  })

  it('follow the content of files, not their times', async () => {
    const folder = await temporaryFolder()
    const { source, stages } = await chain(folder)
    await go(await open(folder, stages))
    await utimes(source, new Date(), new Date(Date.now() + 5000))
    expect((await go(await open(folder, stages))).ran).toEqual([])
    await writeFile(source, 'three')
    expect((await go(await open(folder, stages))).ran).toEqual(['a', 'b', 'c'])
    expect(await readFile(join(folder, 'c/out.txt'), 'utf8')).toBe('5 characters')
  })

  it('are those that a model computes when it is another model', async () => {
    const folder = await temporaryFolder()
    const { stages } = await chain(folder)
    await go(await open(folder, stages))
    expect((await go(await open(folder, stages, 'other'))).ran).toEqual(['c'])
  })

  it('are those whose files were removed or edited, and a missing source is told with its path', async () => {
    const folder = await temporaryFolder()
    const { source, stages } = await chain(folder)
    await go(await open(folder, stages))
    await rm(join(folder, 'd/out.txt'))
    await writeFile(join(folder, 'b/out.txt'), '4 characters')
    expect((await go(await open(folder, stages))).ran).toEqual(['b', 'd'])
    await rm(source)
    await expect(go(await open(folder, stages))).rejects.toMatchObject({ code: 'BT_DATA_FILE' })
  })

  it('are told before anything runs, those that wait as such', async () => {
    const folder = await temporaryFolder()
    const { stages, source } = await chain(folder)
    const before = await standings(await open(folder, stages))
    expect(before.map(({ status }) => status)).toEqual(['new', 'waits', 'waits', 'new'])
    expect(before.map(({ after }) => after)).toEqual([[], ['a'], ['b'], []])
    await go(await open(folder, stages))
    await writeFile(source, 'other')
    const after = await standings(await open(folder, stages))
    expect(after.map(({ status }) => status)).toEqual(['changed', 'waits', 'waits', 'done'])
    expect(after[0]?.why).toEqual(['source.txt has another content'])
  })

  it('end at --until, and run again when that is asked for', async () => {
    const folder = await temporaryFolder()
    const { stages } = await chain(folder)
    expect((await go(await open(folder, stages), { until: 'b' })).ran).toEqual(['a', 'b'])
    expect((await go(await open(folder, stages), { again: ['a'] })).ran).toEqual(['a', 'c', 'd'])
  })
})

describe('a stage that does not end', () => {
  it('goes on where it was after an interruption, with its files', async () => {
    const folder = await temporaryFolder()
    let sittings = 0
    const stages = [
      stageOf({
        name: 'slow',
        async make(_, { at }) {
          sittings++
          if (sittings > 1) return `${await readFile(at('slow/log.txt'), 'utf8')} two`
          await writeFile(at('slow/log.txt'), 'one')
          return { summary: {}, interrupted: true }
        },
      }),
      stageOf({ name: 'next', reads: ['slow/out.txt'] }),
    ]
    const first = await go(await open(folder, stages))
    expect(first).toMatchObject({ ran: [], interrupted: true })
    const second = await go(await open(folder, stages))
    expect(second).toMatchObject({ ran: ['slow', 'next'], interrupted: false })
    expect(second.events[0]).toMatchObject({ type: 'stage-started', resumed: true })
    expect(await readFile(join(folder, 'next/out.txt'), 'utf8')).toBe('one two')
  })

  it('is not begun when the signal has come before it', async () => {
    const folder = await temporaryFolder()
    const { stages } = await chain(folder)
    const stop = new AbortController()
    stages[1] = stageOf({
      name: 'b',
      reads: ['a/out.txt'],
      make: () => {
        stop.abort()
        return 'done all the same'
      },
    })
    const run = await go(await open(folder, stages), {}, { signal: stop.signal })
    expect(run).toMatchObject({ ran: ['a', 'b'], interrupted: true })
  })

  it('tells its name with its error, stays failed, and runs when it is called again', async () => {
    const folder = await temporaryFolder()
    let fails = true
    const stages = [
      stageOf({
        name: 'weak',
        make() {
          if (fails) throw new BtError('BT_DATA_EMPTY', 'nothing there', { remedy: 'Bring something.' })
          return 'well'
        },
      }),
    ]
    await expect(go(await open(folder, stages))).rejects.toMatchObject({
      code: 'BT_DATA_EMPTY',
      message: 'weak: nothing there',
      remedy: 'Bring something.',
    })
    expect((await readState(folder))?.stages[0]).toMatchObject({ status: 'failed', error: 'nothing there' })
    fails = false
    expect((await go(await open(folder, stages))).ran).toEqual(['weak'])
  })

  it('leaves nothing of an older key behind', async () => {
    const folder = await temporaryFolder()
    const { stages } = await chain(folder)
    await go(await open(folder, stages))
    await writeFile(join(folder, 'd/left-over.txt'), 'old')
    const { stages: changed } = await chain(folder, { d: { extra: true } })
    await go(await open(folder, changed))
    await expect(readFile(join(folder, 'd/left-over.txt'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('hands on what it tells, of progress the last word', async () => {
    const folder = await temporaryFolder()
    const stages = [
      stageOf({
        name: 'talks',
        make(_, { onProgress, onWarning }) {
          for (let done = 1; done <= 100; done++) onProgress({ label: 'rows', done, total: 100, unit: 'rows' })
          onWarning('odd')
          return 'x'
        },
      }),
    ]
    const { events } = await go(await open(folder, stages))
    expect(events.map(({ type }) => type)).toEqual(['stage-started', 'progress', 'warning', 'stage-finished'])
    expect(events[1]).toMatchObject({ progress: { done: 100 } })
  })
})
