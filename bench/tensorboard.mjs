// `npm run bench -- tensorboard`: a run that is killed and goes on, with --tensorboard, and what tensorboard itself then
// reads of its event files beside metrics.jsonl: every point of every curve, each step once.
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { packageRoot } from '../dist/paths.js'
import { peerPython } from './python.mjs'

/** Of the event files, and the same number in metrics.jsonl. */
const tags = {
  'loss/train': 'loss',
  'loss/smoothed': 'smoothedLoss',
  'loss/validation': 'validationLoss',
  gradient_norm: 'gradNorm',
  learning_rate: 'learningRate',
  tokens_per_second: 'tokensPerSecond',
}

export async function benchTensorboard({ data, model, threads }) {
  const folder = mkdtempSync(join(tmpdir(), 'bt-bench-'))
  const output = join(folder, 'run')
  try {
    const rows = [
      '--data',
      data,
      '--max-tokens',
      '128',
      '--batch-size',
      '2',
      '--grad-accum-steps',
      '1',
      '--samples',
      '0',
    ]
    const steps = ['--max-steps', '12', '--validate-every', '4', '--save-every', '3', '--threads', `${threads}`]
    const args = ['train', '--model', model, ...rows, ...steps, '--output', output, '--tensorboard', '--json']
    await sitting(args, 8) // its checkpoint is of step 6: steps 7 and 8 are made twice
    await sitting(args)
    const read = readEvents(join(output, 'tensorboard'))
    const failures = differences(expected(join(output, 'metrics.jsonl')), read)
    const points = Object.values(read).reduce((sum, curve) => sum + curve.length, 0)
    return { bench: 'tensorboard', curves: Object.keys(read).length, points, failures }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** One start of the process, killed once it has told of step `killAfter`. */
async function sitting(args, killAfter) {
  const child = spawn(process.execPath, [join(packageRoot, 'bin/bt-native.js'), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const closed = new Promise((resolve) => child.on('close', resolve))
  for await (const line of createInterface({ input: child.stdout })) {
    const { event, step } = JSON.parse(line)
    if (event === 'step' && step === killAfter) child.kill('SIGKILL')
  }
  const code = await closed
  if (killAfter === undefined && code !== 0) throw new Error(`bt-native ${args[0]} ended with ${code}`)
}

/** { tag: [[step, value], ...] } as tensorboard reads it. */
function readEvents(folder) {
  const script = join(packageRoot, 'bench/peers/read_events.py')
  const { status, stdout, stderr } = spawnSync(peerPython('tensorboard.txt'), [script, folder], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`tensorboard could not read ${folder}: ${stderr.trim()}`)
  return JSON.parse(stdout)
}

/** The same of metrics.jsonl. */
function expected(path) {
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n')
  const records = lines.map((line) => JSON.parse(line))
  const curve = (name) => records.filter((one) => one[name] !== undefined).map((one) => [one.step, one[name]])
  return Object.fromEntries(Object.entries(tags).map(([tag, name]) => [tag, curve(name)]))
}

/** Where the two differ, by tag. TensorBoard keeps numbers in single precision. */
export function differences(wanted, read) {
  const failures = {}
  for (const tag of new Set([...Object.keys(wanted), ...Object.keys(read)])) {
    const [theirs, ours] = [read[tag] ?? [], wanted[tag] ?? []]
    const same =
      ours.length > 0 &&
      ours.every(([step, value], i) => theirs[i]?.[0] === step && theirs[i][1] === Math.fround(value))
    if (!same || theirs.length !== ours.length)
      failures[tag] = `tensorboard reads ${JSON.stringify(theirs)}, not ${JSON.stringify(ours)}`
  }
  return failures
}
