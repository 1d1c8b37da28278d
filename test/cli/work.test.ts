import type { ChildProcess } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { tinyPairs, writeRows, writeTinyModel } from '../train/tiny-model.js'
import { runCli } from './run-cli.js'

let folder: string
const machine = ['--threads', '1', '--device', 'cpu', '--precision', 'fp32']
let trainArgs: string[]

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-work-'))
  const model = await writeTinyModel(join(folder, 'model'))
  const data = await writeRows(join(folder, 'seed.jsonl'), tinyPairs(48))
  trainArgs = ['train', '--model', model, '--data', data, ...machine, '--learning-rate', '0.01', '--save-every', '2']
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const lossesOf = async (run: string) =>
  (await readFile(join(run, 'metrics.jsonl'), 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { step: number; loss?: number })
    .filter(({ loss }) => loss !== undefined)
    .map(({ step, loss }) => [step, loss])

test('a run that is killed or interrupted ends as one that was not', async () => {
  const whole = join(folder, 'whole')
  const done = await runCli([...trainArgs, '--output', whole])
  expect(done).toMatchObject({ code: 0, stdout: '' })
  expect(done.stderr).toMatch(/model .*\n[\s\S]*data .*\n[\s\S]*template .*\nlora .*\nplan .*/)
  expect(done.stderr).toMatch(new RegExp(`done in .*Adapter: ${whole} \\(PEFT\\)`))
  expect(done.stderr).toContain(`next: npx bt-native generate --adapter ${whole}`)

  const broken = join(folder, 'broken')
  const args = [...trainArgs, '--output', broken, '--json']
  const killed = await runCli(args, {
    onOutput: (text, child) => text.includes('"event":"step","step":5') && child.kill('SIGKILL'),
  })
  expect(killed.code).toBe(null)
  const interrupted = await runCli([...trainArgs, '--output', broken], {
    onOutput: (text, child) => text.includes('going on after step') && child.kill('SIGINT'),
  })
  expect(interrupted.code).toBe(130)
  expect(interrupted.stderr).toMatch(/press again to leave at once/)
  expect(interrupted.stderr).toMatch(/saved after step \d+\/\d+ in .*\nresume: npx bt-native train /)
  const finished = await runCli(args)
  expect(finished.code).toBe(0)
  const events = finished.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { event: string })
  expect(events.at(-1)!.event).toBe('finished')
  expect(await lossesOf(broken)).toEqual(await lossesOf(whole))
  expect(await readFile(join(broken, 'adapter_model.safetensors'))).toEqual(
    await readFile(join(whole, 'adapter_model.safetensors')),
  )
  expect((await runCli([...trainArgs, '--output', whole])).stderr).toMatch(/is finished already/)
})

test('the second Ctrl-C leaves in the midst of a step', async () => {
  const data = await writeRows(join(folder, 'much.jsonl'), tinyPairs(4000))
  const large = ['--batch-size', '40', '--grad-accum-steps', '100', '--validation', '0', '--targets', 'all-linear']
  let told = false
  const left = await runCli([...trainArgs.with(4, data), ...large, '--output', join(folder, 'left')], {
    onOutput: (text, child) => {
      if (told || !text.includes('plan ')) return
      told = true
      for (const delay of [100, 200]) setTimeout(delay).then(() => child.kill('SIGINT'))
    },
  })
  expect(left.code).toBe(130)
  expect(left.stderr).not.toMatch(/step \d/)
  expect(left.stderr).toMatch(/press again to leave at once[\s\S]*stopped before the first step/)
})

test('a run that stops early says by how much nothing was better, and which step was the best all the same', async () => {
  const patience = ['--patience', '1', '--epochs', '9', '--validation', '0.2']
  const run = (name: string, ...more: string[]) =>
    runCli([...trainArgs, ...patience, ...more, '--output', join(folder, name)])
  const { stderr } = await run('creeping', '--min-change', '100')
  const [, step, best] =
    /stopped early after step (\d+)\/\d+: nothing better by more than 100 nats in 1 validation; the best was after step (\d+) \(loss \d\.\d{3}\)/.exec(
      stderr,
    )!
  expect(best).toBe(step) // it was better, though not by a hundred
  const spoilt = await run('spoilt', '--learning-rate', '0.5', '--schedule', 'constant')
  expect(spoilt.stderr).toMatch(/nothing better in 1 validation; the best was after step \d+ \(loss/)
})

test('report draws the loss of a run and writes its page, and refuses a folder without one', async () => {
  const whole = join(folder, 'whole')
  await rm(join(whole, 'report.html'))
  const shown = await runCli(['report', whole])
  expect(shown.code).toBe(0)
  expect(shown.stderr).toMatch(/┤[\s\S]*[\u2801-\u28ff][\s\S]* step 1 +9\nReport: /)
  expect(await readFile(join(whole, 'report.html'), 'utf8')).toMatch(/^<!doctype html>/)
  const json = JSON.parse((await runCli(['report', whole, '--json'])).stdout)
  expect(json).toMatchObject({ event: 'report', path: join(whole, 'report.html'), finished: true, lastStep: 9 })
  expect((await runCli(['report', folder])).stderr).toMatch(/BT_RUN_NOT_FOUND[\s\S]*--output folder/)
})

test('generate reads and writes a pipe, and shows pairs when asked to', async () => {
  const adapter = join(folder, 'whole')
  const input = tinyPairs(5)
    .map(({ response }) => `${JSON.stringify({ text: response })}\n`)
    .join('')
  const args = ['generate', '--adapter', adapter, ...machine, '--max-new-tokens', '8', '--greedy']
  const piped = await runCli([...args, '--input', '-', '--output', '-'], { input })
  expect(piped.code).toBe(0)
  const rows = piped.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(rows.map(({ response }) => response)).toEqual(tinyPairs(5).map(({ response }) => response))
  const output = join(folder, 'pairs.json')
  const shown = await runCli([...args, '--input', '-', '--output', output, '--show', '2'], { input })
  expect(shown.stderr.match(/^response /gm)).toHaveLength(2)
  expect(shown.stderr).toContain(`next: npx bt-native evaluate --predictions ${output}`)
  expect(JSON.parse(await readFile(output, 'utf8'))).toEqual(rows)
})

test('generate answers a row of a pipe before the next one comes', async () => {
  const row = `${JSON.stringify({ text: 'tea is good.' })}\n`
  const args = ['generate', '--adapter', join(folder, 'whole'), ...machine, '--max-new-tokens', '4', '--greedy']
  let answers = 0
  const finished = await runCli([...args, '--input', '-', '--output', '-'], {
    onStart: (child) => child.stdin!.write(row),
    onOutput: (text, child) => {
      if (!text.includes('"finish"')) return
      answers++
      if (answers === 1) child.stdin!.write(row)
      else child.stdin!.end()
    },
  })
  expect(finished.code).toBe(0)
  expect(answers).toBe(2)
})

test('generate leaves a quiet pipe at the limit, and when it is told to stop', async () => {
  const row = `${JSON.stringify({ text: 'tea is good.' })}\n`
  const args = ['generate', '--adapter', join(folder, 'whole'), ...machine, '--max-new-tokens', '4', '--greedy']
  const onStart = (child: ChildProcess) => child.stdin!.write(row)
  const limited = await runCli([...args, '--input', '-', '--output', '-', '--limit', '1'], { onStart })
  expect(limited).toMatchObject({ code: 0, stdout: expect.stringContaining('"finish"') })
  const stopped = await runCli([...args, '--input', '-', '--output', '-'], {
    onStart,
    onOutput: (text, child) => text.includes('"finish"') && child.kill('SIGTERM'),
  })
  expect(stopped.code).toBe(130)
})

/** Waits until SIGHUP would be caught (Node by itself does not), and a while longer for reading to begin. */
async function listening({ pid }: ChildProcess): Promise<void> {
  const caught = async () => /SigCgt:\s*(\w+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))![1]!
  while ((BigInt(`0x${await caught()}`) & 1n) === 0n) await setTimeout(20)
  await setTimeout(500)
}

test('reading a quiet pipe ends when it is told to stop', async () => {
  const stopped = (args: string[]) =>
    runCli(args, {
      onStart: async (child) => {
        child.stdin!.write('{"instruction": "a b", "response": "c d"}\n')
        await listening(child)
        child.kill('SIGTERM')
      },
    })
  const output = join(folder, 'rows.jsonl')
  const preprocessed = await stopped(['preprocess', '--input', '-', '--output', output])
  expect(preprocessed).toMatchObject({ code: 130, stderr: expect.stringContaining('BT_INTERRUPTED') })
  const trained = await stopped([...trainArgs.with(4, '-'), '--output', join(folder, 'never')])
  expect(trained).toMatchObject({ code: 130, stderr: expect.stringContaining('stopped before the first step') })
})

test('a reader that leaves in the midst of the rows is told from success', async () => {
  const input = await writeRows(join(folder, 'many.jsonl'), tinyPairs(200))
  const args = ['generate', '--adapter', join(folder, 'whole'), ...machine, '--max-new-tokens', '8', '--greedy']
  const left = await runCli([...args, '--input', input, '--output', '-'], {
    onOutput: (text, child) => text.includes('"finish"') && child.stdout!.destroy(),
  })
  expect(left.code).toBe(141)
})

test('commands with their inputs named alone put what they make into the working folder, and know it again', async () => {
  const cwd = await mkdtemp(join(folder, 'here-'))
  const say = async (...args: string[]) => {
    const { code, stdout, stderr } = await runCli(args, { cwd })
    return { code, text: stdout + stderr }
  }
  const data = await writeRows(join(cwd, 'seed.jsonl'), tinyPairs(12))
  const preprocess = ['preprocess', '--input', data, '--near-duplicates', 'off']
  const train = ['train', '--model', trainArgs[2]!, '--data', 'seed.rows.jsonl', ...machine, '--epochs', '1']
  const generate = ['generate', '--adapter', 'runs/backward-model-seed.rows', '--input', data, ...machine]
  for (const [args, made] of [
    [preprocess, 'seed.rows.jsonl'],
    [train, 'runs/backward-model-seed.rows'],
    [[...generate, '--max-new-tokens', '3'], 'seed.written.jsonl'],
  ] as const) {
    expect(await say(...args)).toMatchObject({ code: 0, text: expect.stringContaining(made) })
    expect(await say(...args)).toMatchObject({
      code: 0,
      text: expect.stringMatching(new RegExp(`^${made} is finished already`, 'm')),
    })
  }
  expect((await readdir(cwd)).sort()).toEqual([
    'runs',
    'seed.jsonl',
    'seed.rows.jsonl',
    'seed.rows.jsonl.meta.json',
    'seed.written.jsonl',
    'seed.written.jsonl.meta.json',
  ])
})
