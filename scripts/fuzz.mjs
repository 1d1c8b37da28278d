// `npm run fuzz -- [--target NAME] [--minutes N | --runs N] [--seed N]`: damaged files to everything that reads them. What
// must hold: a result or a BtError, within five seconds and 1.5 GB; never another exception, a hang or a crash. Findings
// are made small and kept in fuzz-findings/; those whose faults are mended live on in test/fuzz/corpus/.
import { fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { duration, fail, green, red, root, StepError, say } from './console.mjs'
import { timeLimit } from './fuzz/judge.mjs'
import { mutate } from './fuzz/mutate.mjs'
import { randomFrom } from './fuzz/random.mjs'
import { targets } from './fuzz/targets.mjs'
import { compileTypeScript } from './prepare.mjs'

/** The environment of readers: under `npm run sanitize` that of an instrumented core. */
const sanitized = process.env.BT_FUZZ_SANITIZED ? JSON.parse(process.env.BT_FUZZ_SANITIZED) : process.env

/** One target's process, started again when an input ends it. */
class Reader {
  #child
  #name

  constructor(name) {
    this.#name = name
  }

  /** @returns what is wrong with what `input` did, or undefined */
  async judge(input) {
    if (!this.#child) await this.#start()
    const answer = await this.#answer(() => this.#child.send(input), timeLimit)
    return answer.fault
  }

  end() {
    this.#child?.disconnect()
  }

  async #start() {
    this.#child = fork(join(root, 'scripts', 'fuzz', 'child.mjs'), [this.#name], {
      execArgv: ['--max-old-space-size=1024'],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env: {
        ...sanitized,
        BT_NATIVE_CACHE: process.env.BT_FUZZ_CACHE ?? '/dev/null/none',
        BT_NATIVE_LIBTORCH: await libtorch(),
      },
    })
    const answer = await this.#answer(() => undefined, 60_000)
    if (answer.fault) throw new StepError(`${this.#name}: does not start: ${answer.fault}`)
  }

  #answer(ask, limit) {
    const child = this.#child
    return new Promise((resolve) => {
      let errors = ''
      const onErrors = (text) => {
        errors += text
      }
      const end = (answer) => {
        clearTimeout(timer)
        child.removeAllListeners('message').removeAllListeners('exit')
        child.stderr.off('data', onErrors)
        resolve(answer)
      }
      const timer = setTimeout(() => {
        this.#child = undefined
        child.kill('SIGKILL')
        end({ fault: `hang: over ${limit / 1000} s` })
      }, limit)
      child.stderr.on('data', onErrors)
      child.on('message', end)
      child.on('exit', (code, signal) => {
        this.#child = undefined
        const why = /ERROR: \w+Sanitizer:.*|runtime error:.*|FATAL ERROR:.*|panicked at.*/.exec(errors)?.[0] ?? ''
        end({ fault: `crash: ${signal ?? `exit ${code}`} ${why.replace(/0x[\da-f]+|\d+/g, 'N')}`.trim() })
      })
      ask()
    })
  }
}

/** The cache is out of the readers' reach, and libtorch may lie in it. */
async function libtorch() {
  const { findLibtorch } = await import('../dist/native/find.js')
  return findLibtorch({ device: 'cpu' }).find(({ taken }) => taken)?.lib ?? ''
}

/** Fewer bytes that do the same, as long as that takes under twenty seconds. */
async function shrink(reader, input, fault) {
  const end = performance.now() + 20_000
  let { bytes } = input
  const same = async (tried) => performance.now() < end && (await reader.judge({ ...input, bytes: tried })) === fault
  for (let size = bytes.length >> 1; size > 0; size >>= 1) {
    for (let at = 0; at < bytes.length && performance.now() < end; ) {
      const tried = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + size)])
      if (await same(tried)) bytes = tried
      else at += size
    }
  }
  return bytes
}

function keep(target, { set, name, bytes }, fault) {
  const folder = join(root, 'fuzz-findings', target)
  mkdirSync(folder, { recursive: true })
  const file = `${createHash('sha256').update(bytes).digest('hex').slice(0, 8)}-${set}-${name}`
  writeFileSync(join(folder, file), bytes)
  say(`  ${red('found')} ${fault}\n        ${join('fuzz-findings', target, file)} (${bytes.length} bytes)`)
}

/** Kept inputs of a target: "HASH-SET-NAME". */
function corpus(target) {
  const folder = join(root, 'test', 'fuzz', 'corpus', target)
  if (!existsSync(folder)) return []
  return readdirSync(folder).map((file) => {
    const [, set, name] = /^[\da-f]+-(\d+)-(.+)$/.exec(file) ?? []
    if (name === undefined) throw new StepError(`${join(folder, file)}: not named HASH-SET-NAME`)
    return { set: Number(set), name, bytes: readFileSync(join(folder, file)) }
  })
}

/** @returns how many different faults were found */
async function fuzz(target, { runs, until, seed }) {
  const start = performance.now()
  const { seeds: makeSeeds, only, header } = targets[target]
  const seeds = await makeSeeds()
  const inputs = seeds.flatMap((files, set) =>
    Object.keys(files).flatMap((name) =>
      !only || only.includes(name) ? [{ set, name, bytes: Buffer.from(files[name]) }] : [],
    ),
  )
  const reader = new Reader(target)
  const faults = new Set()
  const look = async (input) => {
    const fault = await reader.judge(input)
    if (fault === undefined || faults.has(fault)) return
    faults.add(fault)
    keep(target, { ...input, bytes: await shrink(reader, input, fault) }, fault)
  }
  for (const input of [...inputs, ...corpus(target)]) await look(input)
  const random = randomFrom(seed)
  let done = 0
  for (; done < runs && performance.now() < until; done++) {
    const input = inputs[random(inputs.length)]
    const other = inputs[random(inputs.length)].bytes
    const damaged = input.bytes.subarray(0, header)
    const bytes = Buffer.concat([mutate(damaged, random, other), input.bytes.subarray(damaged.length)])
    await look({ ...input, bytes })
  }
  reader.end()
  const time = duration(performance.now() - start)
  say(
    `${faults.size === 0 ? green('ok') : red('failed')} ${target}: ${done} damaged files in ${time}, ${faults.size} faults`,
  )
  return faults.size
}

async function main() {
  const { values } = parseArgs({
    options: {
      target: { type: 'string', multiple: true },
      minutes: { type: 'string' },
      runs: { type: 'string' },
      seed: { type: 'string', default: '1' },
    },
  })
  const names = values.target ?? Object.keys(targets)
  const unknown = names.find((name) => !Object.hasOwn(targets, name))
  if (unknown) throw new StepError(`no target "${unknown}"`, `Targets are ${Object.keys(targets).join(', ')}.`)
  await compileTypeScript()
  const runs = values.runs ? Number(values.runs) : Number.POSITIVE_INFINITY
  const minutes = Number(values.minutes ?? (values.runs ? Number.POSITIVE_INFINITY : 1))
  let faults = 0
  for (const name of names) {
    faults += await fuzz(name, { runs, until: performance.now() + minutes * 60_000, seed: Number(values.seed) })
  }
  if (faults > 0) process.exitCode = 1
}

await main().catch(fail)
