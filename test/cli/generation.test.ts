import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { tinyPairs, writeRows, writeTinyModel } from '../train/tiny-model.js'
import { runCli } from './run-cli.js'

let folder: string
let common: string[]
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-generation-'))
  const model = await writeTinyModel(join(folder, 'model'))
  const input = await writeRows(join(folder, 'texts.jsonl'), tinyPairs(6))
  const machine = ['--threads', '1', '--device', 'cpu', '--precision', 'fp32']
  common = ['--model', model, '--input', input, ...machine]
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const linesOf = async (path: string) =>
  (await readFile(path, 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))

test('the whole sampling law is given by flags, and recorded beside the output', async () => {
  const output = join(folder, 'law.jsonl')
  const law = ['--typical-p', '0.9', '--presence-penalty', '0.5', '--frequency-penalty', '-0.25', '--unique-ngram', '3']
  const more = [
    '--logit-bias',
    '198=-100,30=1.5',
    '--stop',
    'a, b',
    '--stop',
    '\n\n',
    '--stop-tokens',
    '5,<|im_start|>',
  ]
  const best = ['--n', '2', '--rerank', 'likelihood', '--keep-candidates', '--log-probs', '--guard', 'end,loop']
  const args = ['generate', ...common, ...law, ...more, ...best, '--guard-retries', '1', '--max-new-tokens', '4']
  const done = await runCli([...args, '--output', output])
  expect(done).toMatchObject({ code: 0 })
  expect(done.stderr).toMatch(
    /typical-p 0\.9.*presence penalty 0\.5.*no 3-gram twice.*best of 2 by likelihood.*guard: loop, end/,
  )
  expect(done.stderr).toMatch(/with a fault left, marked as guard in the row: .*end \d/)
  const { fingerprint } = JSON.parse(await readFile(`${output}.meta.json`, 'utf8'))
  expect(fingerprint).toMatchObject({
    ...{ typicalP: 0.9, presencePenalty: 0.5, frequencyPenalty: -0.25, uniqueNgram: 3 },
    ...{ logitBias: '{"30":1.5,"198":-100}', stop: '["a, b","\\n\\n"]', stopTokens: '5,<|im_start|>' },
    ...{ n: 2, rerank: 'likelihood', keepCandidates: true, logProbs: true, guard: 'loop,end', guardRetries: 1 },
  })
  const rows = await linesOf(output)
  expect(rows).toHaveLength(6)
  for (const { candidates, logProbs, score, instruction } of rows) {
    expect(candidates).toHaveLength(2)
    expect(logProbs.length).toBeGreaterThan(0)
    expect(candidates.map(({ text }: { text: string }) => text)).toContain(instruction)
    expect(Number.isFinite(score)).toBe(true)
  }
  const other = await runCli([...args.with(args.indexOf('0.9'), '0.8'), '--output', output])
  expect(other.stderr).toContain('BT_OUTPUT_CHANGED')
  expect(other.stderr).toContain('typicalP 0.9, not 0.8')
})

test.each([
  [['--n', '4', '--greedy'], /--n 4: greedy candidates are all the same/],
  [['--logit-bias', 'x=1'], /--logit-bias: .*token id/],
  [['--logit-bias', '9999=1'], /--logit-bias: there is no token 9999/],
  [['--stop-tokens', 'two words'], /--stop-tokens: "two words" is \d+ tokens/],
  [['--guard', 'typo'], /--guard: /],
  [['--shard', '0/4'], /--shard: i\/n was expected/],
  [['--shard', '5/4'], /there is no shard 5 of 4/],
  [['--output', 'pairs.csv'], /ends in none of \.jsonl, \.jsonl\.gz, \.json, \.parquet/],
])('%j is refused as wrong usage', async (flags, message) => {
  const { code, stderr } = await runCli(['generate', ...common, '--output', join(folder, 'refused.jsonl'), ...flags])
  expect(stderr).toMatch(message)
  expect(code).toBe(2)
  await expect(stat(join(folder, 'refused.jsonl'))).rejects.toMatchObject({ code: 'ENOENT' })
})

test('shards of an array job are merged into what one process writes', async () => {
  const args = ['generate', ...common, '--max-new-tokens', '4', '--guard', 'none', '--output']
  await runCli([...args, join(folder, 'whole.jsonl')])
  const output = join(folder, 'pairs.jsonl')
  for (const index of [0, 1]) {
    const env = { SLURM_ARRAY_TASK_ID: `${index}`, SLURM_ARRAY_TASK_MIN: '0', SLURM_ARRAY_TASK_COUNT: '2' }
    const done = await runCli([...args, output, '--shard', 'auto'], { env })
    expect(done.stderr).toContain(`next: npx bt-native merge-shards --output ${output}`)
  }
  const merged = await runCli(['merge-shards', '--output', output, '--json'])
  expect(JSON.parse(merged.stdout)).toMatchObject({ event: 'finished', rows: 6, shards: 2 })
  expect(await readFile(output, 'utf8')).toBe(await readFile(join(folder, 'whole.jsonl'), 'utf8'))
})

test('score tells of each pair and of all, and does nothing the second time', async () => {
  const output = join(folder, 'scores.jsonl')
  const args = ['score', ...common, '--output', output, '--json']
  const done = await runCli(args)
  const events = done.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  const rows = await linesOf(output)
  const sum = rows.reduce((total, { logLikelihood }) => total + logLikelihood, 0)
  const tokens = rows.reduce((total, row) => total + row.tokens, 0)
  expect(events.at(-1)).toMatchObject({ event: 'finished', rows: 6, tokens, unscored: 0 })
  expect(events.at(-1).perplexity).toBeCloseTo(Math.exp(-sum / tokens), 3)
  const again = await runCli(args)
  expect(JSON.parse(again.stdout.trimEnd().split('\n').at(-1)!)).toMatchObject({ alreadyDone: true })
})

test('converse writes a conversation a document, shows some, and does nothing the second time', async () => {
  const segments = tinyPairs(6).map(({ response }, at) => ({ text: response, document: `d${Math.floor(at / 3)}` }))
  const input = await writeRows(join(folder, 'segments.jsonl'), segments)
  const short = ['--max-new-tokens', '4', '--max-tokens', '900', '--guard', 'end', '--guard-retries', '0']
  const args = ['converse', ...common.with(common.indexOf('--input') + 1, input), ...short]
  const output = join(folder, 'segments.conversations.jsonl')
  const done = await runCli([...args, '--output', output, '--show', '1'])
  expect(done).toMatchObject({ code: 0 })
  expect(done.stderr.match(/^assistant /gm)).toHaveLength(3)
  expect(done.stderr).toMatch(/2 conversations in .*segments\.conversations\.jsonl, 6 messages written/)
  expect(done.stderr).toMatch(/messages? with a fault left, marked as guard: end \d/)
  expect((await linesOf(output)).map(({ turns, document }) => [turns, document])).toEqual([
    [3, 'd0'],
    [3, 'd1'],
  ])
  expect((await runCli([...args, '--output', output])).stderr).toContain('is finished already: 2 conversations')
  const piped = await runCli([...args, '--output', '-'])
  expect(piped.stdout).toBe(await readFile(output, 'utf8'))
  expect((await runCli([...args, '--output', '-', '--json'])).stderr).toContain('BT_USAGE')
})
