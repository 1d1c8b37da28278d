// The loop from seed to data set on a tiny model: what comes out, what runs again, and a run that is killed again and again.
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { readAdapter } from '../../src/models/adapter.js'
import { planRun, type RunEvent, run } from '../../src/pipeline/run.js'
import { runCli } from '../cli/run-cli.js'
import { shown, startJudge } from '../compare/server.js'
import { tinyPairs, writeRows, writeTinyModel } from '../train/tiny-model.js'

let folder: string
let base: Record<string, unknown>
/** Options of curation that keep half as many. */
let halved: object
const machine = { threads: 1, device: 'cpu', precision: 'fp32' }

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-loop-'))
  const model = await writeTinyModel(join(folder, 'model'))
  const seed = await writeRows(join(folder, 'seed.jsonl'), tinyPairs(40))
  const documents = Array.from({ length: 12 }, (_, at) => ({
    text: `Of ship ${at}. ${'It sails where the wind blows it, and nobody asks why. '.repeat(2)}${'abcdefghijkl'[at]!.repeat(9)}.`,
  }))
  const corpus = join(folder, 'corpus.jsonl')
  await writeFile(corpus, documents.map((row) => `${JSON.stringify(row)}\n`).join(''))
  const training = { ...machine, epochs: 1, maxTokens: 400, batchSize: 4, gradAccumSteps: 2, samples: 0 }
  base = {
    model,
    seed: { data: seed, heldOut: 0.2 },
    corpus: {
      input: corpus,
      minCharacters: 40,
      maxCharacters: 400,
      nearDuplicates: 'off',
      repetition: 0,
      overlapWords: 5,
    },
    backward: training,
    augment: { ...machine, maxNewTokens: 8, guard: [], maxTokens: 400 },
    forward: training,
    iterations: 1,
    curate: { ...machine, maxTokens: 900, top: 0.5, by: 'pmi' },
  }
  halved = { ...(base.curate as object), top: 0.25 }
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function go(recipe: object, output: string) {
  const events: RunEvent[] = []
  const steps = run({ recipe: recipe as Parameters<typeof planRun>[0]['recipe'], output })
  let next = await steps.next()
  for (; !next.done; next = await steps.next()) events.push(next.value)
  return { events, ...next.value }
}

const linesOf = async (path: string) =>
  (await readFile(path, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)

describe('a run', () => {
  test('makes everything that the recipe asks for, and then has nothing left to do', async () => {
    const output = join(folder, 'whole')
    const { ran, shown, stages } = await go(base, output)
    expect(ran).toEqual(stages.map(({ name }) => name))
    expect(stages.every(({ status }) => status === 'done')).toBe(true)
    const kept = await linesOf(join(output, 'curate-1/curated.jsonl'))
    expect(kept.length).toBe(6)
    // Tags: rows that people wrote have one, those that a model wrote the other.
    const rows = await linesOf(join(output, 'mix-1/rows.jsonl'))
    const told = (origin: string) => new Set(rows.filter((row) => row.origin === origin).map(({ system }) => system))
    expect([...told('seed')]).toEqual(['Answer in the style of an AI Assistant.'])
    expect([...told('augmented')]).toEqual(['Answer with knowledge from web search.'])
    expect(rows.filter(({ origin }) => origin === 'augmented').map(({ id }) => id)).toEqual(kept.map(({ id }) => id))
    const control = await linesOf(join(output, 'mix-control/rows.jsonl'))
    expect(control.length).toBe(rows.length)
    const { btNative } = await readAdapter(join(output, 'models/m1'))
    expect(
      (btNative as { template: { systems: { rows: number }[] } }).template.systems.map(({ rows }) => rows),
    ).toEqual([expect.any(Number), expect.any(Number)])
    expect(shown.comparisons?.at(-1)?.systems.map(({ name }) => name)).toEqual([
      ...['base model', 'M_0', 'M_1', 'control', 'M_1, responses of other rows'],
    ])
    for (const file of [
      'report.html',
      'lineage.parquet',
      'data/README.md',
      'data/data.parquet',
      'check/evaluation.json',
    ]) {
      expect((await stat(join(output, file))).size).toBeGreaterThan(100)
    }
    expect(await go(base, output)).toMatchObject({ ran: [], alreadyDone: true })
  }, 120_000)

  test('tells how many rows are too long for a model', async () => {
    const rows = [...tinyPairs(40), { instruction: 'What comes after this? '.repeat(60), response: 'Nothing at all.' }]
    const seed = await writeRows(join(folder, 'long.jsonl'), rows)
    const steps = run({
      recipe: { ...base, seed: { data: seed } } as Parameters<typeof planRun>[0]['recipe'],
      output: join(folder, 'long'),
      until: 'backward',
    })
    let next = await steps.next()
    while (!next.done) next = await steps.next()
    expect(next.value.stages.find(({ name }) => name === 'backward')?.note).toMatch(/^loss [\d.]+.*, 1 too long$/)
  })

  test('computes anew what another rule of selection changes, and no more', async () => {
    const output = join(folder, 'whole')
    const changed = { ...base, curate: halved }
    const plan = await planRun({ recipe: changed as Parameters<typeof planRun>[0]['recipe'], output })
    expect(plan.stages.filter(({ status }) => status !== 'done').map(({ name, status }) => [name, status])).toEqual([
      ['curate-1', 'changed'],
      ...['mix-1', 'm1', 'mix-control', 'control', 'evaluate', 'lineage', 'dataset'].map((name) => [name, 'waits']),
    ])
    const { ran } = await go(changed, output)
    const { differences } = JSON.parse(await readFile(join(output, 'evaluation/comparison.json'), 'utf8'))
    expect(differences.map(({ name, baseline }: Record<string, string>) => `${name} against ${baseline}`)).toEqual([
      ...['m1 against m0', 'control against m0', 'base against m0', 'm1 against control', 'base against control'],
    ])
    expect(ran).toEqual(['curate-1', 'mix-1', 'm1', 'mix-control', 'control', 'evaluate', 'lineage', 'dataset'])
  }, 120_000)

  test('rewrites what was kept, trains on that, and tells so', async () => {
    const output = join(folder, 'rewritten')
    const rewriting = { ...machine, maxTokens: 760, maxNewTokens: 40, minShare: 0, temperature: 1, guardRetries: 20 }
    const recipe = { ...base, rewrite: { ...rewriting, by: 'length' }, control: false, evaluate: false }
    const { stages } = await go(recipe, output)
    expect(stages.map(({ name }) => name)).toContain('rewrite-1')
    const rewritten = await linesOf(join(output, 'rewrite-1/rewritten.jsonl'))
    const kept = await linesOf(join(output, 'curate-1/curated.jsonl'))
    expect(rewritten.map(({ id }) => id)).toEqual(kept.map(({ id }) => id))
    const rows = await linesOf(join(output, 'mix-1/rows.jsonl'))
    expect(rows.filter(({ origin }) => origin === 'augmented').map(({ response }) => response)).toEqual(
      rewritten.map(({ response }) => response),
    )
    const data = await linesOf(join(output, 'data/messages.jsonl'))
    expect(data.length).toBe(rewritten.length)
    // Off again: the stage goes, and what followed from it runs anew.
    const plan = await planRun({ recipe: { ...recipe, rewrite: false } as never, output })
    expect(plan.stages.map(({ name }) => name)).not.toContain('rewrite-1')
    expect(plan.stages.find(({ name }) => name === 'mix-1')?.status).toBe('changed')
  }, 120_000)

  test('holds what the models write against each other, judged, where its recipe asks for it', async () => {
    const output = join(folder, 'whole')
    const judge = await startJudge((body) => ({ text: shown(body)[0] < shown(body)[1] ? 'A' : 'B' }))
    try {
      const evaluate = { writeRows: 3, maxNewTokens: 8, bootstrap: 50, judge: judge.url, judgeModel: 'tester' }
      const before = JSON.parse(await readFile(join(output, 'evaluation/comparison.json'), 'utf8'))
      const { ran, shown: report } = await go({ ...base, curate: halved, evaluate }, output)
      expect(ran).toEqual(['evaluate'])
      const found = JSON.parse(await readFile(join(output, 'evaluation/comparison.json'), 'utf8'))
      expect(found.models.map(({ value }: { value: number }) => value)).toEqual(
        before.models.map(({ value }: { value: number }) => value),
      )
      expect(before.written).toBeUndefined()
      expect(found.written).toMatchObject({ rows: 3 })
      expect(found.written.models.map(({ name }: { name: string }) => name)).toEqual(['m0', 'm1', 'control', 'base'])
      expect(found.judged.preferences).toHaveLength(6)
      expect(report.comparisons?.map(({ title }) => title)).toEqual([
        'Instructions for held-out responses',
        'Log-likelihood of held-out responses',
        'Responses to held-out instructions',
        'Preferred by a judge',
      ])
    } finally {
      await judge.close()
    }
  }, 120_000)

  test('that is killed again and again ends as one that nobody disturbed', async () => {
    const quiet = join(folder, 'quiet')
    await go(base, quiet)
    const recipe = join(folder, 'loop.yaml')
    await writeFile(recipe, stringify(base))
    const killed = join(folder, 'killed')
    const stopAt = ['backward', 'augment', 'm0', 'curate-1', 'm1', 'control', 'evaluate']
    for (const [at, stage] of stopAt.entries()) {
      let begun = false
      await runCli(['run', recipe, '--output', killed, '--json'], {
        onOutput: (text, child) => {
          if (begun || !text.includes(`"event":"stage-started","name":"${stage}"`)) return
          begun = true
          setTimeout(() => child.kill('SIGKILL'), 40 + 60 * at)
        },
      })
    }
    const last = await runCli(['run', recipe, '--output', killed])
    expect(last.code, last.stderr).toBe(0)
    const files = [
      'augment/pairs.jsonl',
      'curate-1/curated.jsonl',
      'mix-control/rows.jsonl',
      'data/messages.jsonl',
      'evaluation/comparison.json',
    ]
    for (const file of [...files, 'models/m1/adapter_model.safetensors', 'models/control/adapter_model.safetensors']) {
      expect(await readFile(join(killed, file)), file).toEqual(await readFile(join(quiet, file)))
    }
  }, 240_000)
})
