// `npm run bench -- train`: times this package beside its peers in one run and prints a table, or JSON with --json FILE.
// Needs a built package (npm run build) and, for the peers, Python 3 with pip.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { packageRoot } from '../dist/paths.js'
import { benchTrain } from './train.mjs'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    data: { type: 'string', default: join(packageRoot, 'examples/seed.jsonl') },
    agree: { type: 'string', default: '3' },
    windows: { type: 'string', default: '5' },
    threads: { type: 'string', default: '2' },
    precision: { type: 'string' },
    json: { type: 'string' },
  },
})

if (positionals.join() !== 'train') {
  process.stderr.write('usage: npm run bench -- train [--data FILE] [--agree STEPS] [--windows STEPS] [--json FILE]\n')
  process.exit(2)
}

const result = await benchTrain({
  ...values,
  agree: Number(values.agree),
  windows: Number(values.windows),
  threads: Number(values.threads),
})
if (values.json) writeFileSync(values.json, `${JSON.stringify(result, null, 2)}\n`)
const { engines, ratioToCareful, largestLossDifference, machine } = result
process.stdout.write(`SmolLM2-135M, ${machine.precision}, ${machine.threads} threads, ${machine.info.cpuCapability}\n`)
for (const [name, { tokensPerSecond, spread, peakBytes }] of Object.entries(engines)) {
  const range = spread.map((rate) => rate.toFixed(0)).join('-')
  process.stdout.write(
    `${name.padEnd(10)} ${tokensPerSecond.toFixed(0).padStart(6)} tok/s (${range})  peak ${(peakBytes / 1e9).toFixed(2)} GB\n`,
  )
}
for (const name of ['fused', 'reference']) {
  process.stdout.write(
    `${name}: ${ratioToCareful[name].toFixed(2)} times the careful PEFT loop, losses of ${result.steps} steps within ${largestLossDifference[name].toExponential(1)}\n`,
  )
}
