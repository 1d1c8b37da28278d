// The judge against a local endpoint that is biased, consistent, busy, broken or gone.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { ChatEndpoint, type EndpointOptions } from '../../src/compare/endpoint.js'
import { type JudgeControl, type JudgeOptions, judge, type Match } from '../../src/compare/judge.js'
import { verdictOf } from '../../src/compare/verdict.js'
import { type AskedBody, type JudgeServer, type Reply, shown, startJudge } from './server.js'

let folder: string
let server: JudgeServer | undefined
let logs = 0
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-judge-'))
})
afterAll(() => rm(folder, { recursive: true }))
afterEach(async () => {
  await server?.close()
  server = undefined
})

const newLog = () => join(folder, `judge-${logs++}.jsonl`)
const rows = Array.from({ length: 8 }, (_, at) => ({
  id: `${at}`,
  instruction: `Question ${at}`,
  answer: `good answer ${at}`,
  against: `bad answer ${at}`,
}))
const match: Match = { model: 'm1', baseline: 'm0', control: false, rows }

function optionsFor(more: Partial<JudgeOptions> = {}): JudgeOptions {
  const settings = { model: 'judge', maxTokens: 8, concurrency: 3, force: false, bootstrap: 200, seed: 0 }
  return { log: newLog(), ...settings, ...more }
}

async function run(answer: Parameters<typeof startJudge>[0], more: Partial<EndpointOptions> = {}) {
  server = await startJudge(answer)
  return endpointFor(more)
}

function endpointFor(more: Partial<EndpointOptions> = {}): ChatEndpoint {
  const patience = { retries: 3, timeout: 5, retryDelay: 1 }
  return new ChatEndpoint({ url: server!.url, model: 'judge', maxTokens: 8, ...patience, ...more })
}

async function preferenceOf(endpoint: ChatEndpoint, options = optionsFor(), control: JudgeControl = {}) {
  return (await judge([match], endpoint, options, control))!.preferences[0]!
}

const consistent: Parameters<typeof startJudge>[0] = (body) => ({ text: shown(body)[0].startsWith('good') ? 'A' : 'B' })

describe('verdicts', () => {
  test('of a consistent judge are wins, of the other side losses', async () => {
    // The first answer comes when as many questions are under way as may be.
    const allAtOnce = async (body: AskedBody, count: number) => {
      while (server!.most < 3) await setTimeout(1)
      return consistent(body, count)
    }
    const endpoint = await run(allAtOnce, { key: 'secret' })
    const found = await preferenceOf(endpoint)
    expect(found).toMatchObject({ wins: 8, ties: 0, losses: 0, unparsable: 0, same: 0, first: 0.5 })
    expect(found.rate).toEqual({ value: 1, interval: [1, 1], p: 1 / 201 })
    expect(server!.asked).toHaveLength(16)
    expect(server!.keys).toEqual(Array(16).fill('Bearer secret'))
    expect(server!.most).toBe(3)
    const turned = { ...match, rows: rows.map((row) => ({ ...row, answer: row.against, against: row.answer })) }
    expect((await judge([turned], endpoint, optionsFor()))!.preferences[0]).toMatchObject({ wins: 0, losses: 8 })
  })
  test('of a judge that names whatever is shown first are all ties, and the bias shows', async () => {
    const found = await preferenceOf(await run(() => ({ text: 'A' })))
    expect(found).toMatchObject({
      wins: 0,
      ties: 8,
      losses: 0,
      first: 1,
      rate: { value: 0.5, interval: [0.5, 0.5], p: 1 },
    })
  })
  test('that name no answer are counted as such, and are in none of the others', async () => {
    const answer = (body: AskedBody, count: number): Reply =>
      body.messages[1]!.content.includes('Question 3') ? { text: 'Both are fine.' } : (consistent(body, count) as Reply)
    const found = await preferenceOf(await run(answer))
    expect(found).toMatchObject({ wins: 7, ties: 0, losses: 0, unparsable: 1, rate: { value: 1 } })
  })
  test('on answers that are the same are ties without a question', async () => {
    const endpoint = await run(consistent)
    const same = { ...match, rows: rows.map((row, at) => (at < 5 ? { ...row, against: row.answer } : row)) }
    const { preferences } = (await judge([same], endpoint, optionsFor()))!
    expect(preferences[0]).toMatchObject({ wins: 3, ties: 5, same: 5 })
    expect(server!.asked).toHaveLength(6)
    const all = { ...match, rows: rows.map((row) => ({ ...row, against: row.answer })) }
    const found = (await judge([all], endpoint, optionsFor()))!.preferences[0]!
    expect(found).toMatchObject({ ties: 8, same: 8, rate: { value: 0.5 } })
    expect(found.first).toBeUndefined()
  })
  test.each([
    ['A', 'first'],
    [' b.\n', 'second'],
    ['**B**', 'second'],
    ['Answer: A', 'first'],
    ['The better answer is B.', 'second'],
    ['<think>A or B? A is longer.</think>\n\nB', 'second'],
    ['A good question', 'none'],
    ['A or B', 'none'],
    ['C', 'none'],
    ['', 'none'],
  ])('%j reads as %s', (text, winner) => {
    expect(verdictOf({ text })).toEqual({ winner })
  })
  test('are the likelier letter where the endpoint tells probabilities', async () => {
    const top = (a: number, b: number) => ({
      content: [
        {
          token: 'A',
          logprob: Math.log(a),
          top_logprobs: [
            { token: 'A', logprob: Math.log(a) },
            { token: ' B', logprob: Math.log(b) },
            { token: 'The', logprob: Math.log(0.05) },
          ],
        },
      ],
    })
    const endpoint = await run(() => ({ text: 'A', logprobs: top(0.3, 0.6) }))
    const options = optionsFor()
    expect(await preferenceOf(endpoint, options)).toMatchObject({ ties: 8, first: 0 })
    expect(server!.asked[0]).toMatchObject({ logprobs: true, temperature: 0, max_tokens: 8, model: 'judge' })
    const line = JSON.parse((await readFile(options.log, 'utf8')).split('\n')[0]!)
    expect(line.probability).toBeCloseTo(1 / 3, 9)
    const tokens = [
      {
        token: 'A',
        top: [
          { token: 'A', logProb: -1 },
          { token: 'B', logProb: -1 },
        ],
      },
    ]
    expect(verdictOf({ text: 'A', tokens })).toEqual({ winner: 'even', probability: 0.5 })
  })
})

describe('an endpoint that', () => {
  test.each<[string, Reply]>([
    ['is busy', { status: 429, headers: { 'Retry-After': '0' } }],
    ['fails', { status: 503 }],
    ['hangs up', 'hang up'],
    ['hangs up in the midst of an answer', 'hang up in the midst'],
    ['answers with garbage', { raw: '<html>' }],
    ['answers without a message', { raw: '{"object": "error"}' }],
  ])('%s is asked again', async (_, reply) => {
    const endpoint = await run((body, count) => (count < 2 ? reply : consistent(body, count)))
    expect(await preferenceOf(endpoint, optionsFor({ concurrency: 1 }))).toMatchObject({ wins: 8, unparsable: 0 })
    expect(server!.asked).toHaveLength(18)
  })
  test('does not answer in time is asked again, then given up', async () => {
    const endpoint = await run(() => 'silence', { timeout: 0.05, retries: 1 })
    await expect(preferenceOf(endpoint)).rejects.toMatchObject({
      code: 'BT_JUDGE_UNREACHABLE',
      message: expect.stringContaining('no answer in 0.05 s, 2 times'),
    })
  })
  test('asks for a second is waited for', async () => {
    const busy: Reply = { status: 429, headers: { 'Retry-After': '1' } }
    const endpoint = await run((body, count) => (count === 0 ? busy : consistent(body, count)))
    const started = performance.now()
    await endpoint.ask([{ role: 'user', content: '### Answer A\nx\n\n### Answer B\ny\n\nWhich?' }])
    expect(performance.now() - started).toBeGreaterThan(950)
  })
  test('refuses the key ends the judging at once', async () => {
    const endpoint = await run(() => ({ status: 401, body: 'wrong key' }))
    await expect(preferenceOf(endpoint, optionsFor({ concurrency: 1 }))).rejects.toMatchObject({
      code: 'BT_JUDGE_REFUSED',
      message: expect.stringContaining('HTTP 401: wrong key'),
    })
    expect(server!.asked).toHaveLength(1)
  })
  test('knows no log-probabilities, no temperature and another limit is asked without', async () => {
    const endpoint = await run((body, count) => {
      if (body.logprobs) return { status: 400, body: 'logprobs are not supported' }
      if (body.max_tokens) return { status: 400, body: "use 'max_completion_tokens' instead of max_tokens" }
      if (body.temperature !== undefined) return { status: 422, body: 'temperature is fixed' }
      return consistent(body, count)
    })
    expect(await preferenceOf(endpoint, optionsFor({ concurrency: 1 }))).toMatchObject({ wins: 8 })
    expect(server!.asked).toHaveLength(19)
  })
  test('is written down without user, key and query', async () => {
    const named = new ChatEndpoint({
      ...{ url: 'https://me:secret@host/v1/?key=1', model: 'm', maxTokens: 1, retries: 0, timeout: 1 },
    })
    expect(named.name).toBe('https://host/v1/chat/completions')
  })
})

describe('the log', () => {
  test('keeps what was answered: after a failure and half a line only the rest is asked', async () => {
    const options = optionsFor({ concurrency: 1 })
    const dying = await run((body, count) => (count < 10 ? consistent(body, count) : { status: 401 }))
    await expect(preferenceOf(dying, options)).rejects.toMatchObject({ code: 'BT_JUDGE_REFUSED' })
    const kept = await readFile(options.log, 'utf8')
    expect(kept.trimEnd().split('\n')).toHaveLength(10)
    await writeFile(options.log, `${kept}{"key": "12`) // as a kill leaves it
    await server!.close()
    const endpoint = await run(consistent)
    expect(await preferenceOf(endpoint, options)).toMatchObject({ wins: 8 })
    expect(server!.asked).toHaveLength(6)
    expect(await preferenceOf(endpoint, options)).toMatchObject({ wins: 8 })
    expect(server!.asked).toHaveLength(6)
    await preferenceOf(endpoint, { ...options, model: 'another' })
    expect(server!.asked).toHaveLength(22)
  })
  test('holds what was under way when the signal came', async () => {
    const options = optionsFor({ concurrency: 2 })
    const stop = new AbortController()
    const endpoint = await run((body, count) => {
      if (count === 5) stop.abort()
      return consistent(body, count)
    })
    expect(await judge([match], endpoint, options, { signal: stop.signal })).toBeUndefined()
    const kept = (await readFile(options.log, 'utf8')).trimEnd().split('\n').length
    expect(kept).toBe(server!.asked.length)
    expect(kept).toBeLessThan(9)
    expect(await preferenceOf(endpoint, options)).toMatchObject({ wins: 8 })
    expect(server!.asked).toHaveLength(16)
  })
  test('is left at once when the second signal comes', async () => {
    const stop = new AbortController()
    const endpoint = await run(() => {
      stop.abort()
      return 'silence'
    })
    const error = await preferenceOf(endpoint, optionsFor(), { abort: stop.signal }).catch((reason: unknown) => reason)
    expect(error).toBe(stop.signal.reason)
    expect(stop.signal.aborted).toBe(true)
  })
})
