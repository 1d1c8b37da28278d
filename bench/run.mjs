// `npm run bench`: this package beside its peers in one run. Needs a built package (npm run build:all) and, for the peers,
// Python 3 with pip. Progress goes to stderr, the table to stdout.
import { writeFileSync } from 'node:fs'
import { writeDocs } from './docs.mjs'
import { benchExport } from './export.mjs'
import { benchGenerate } from './generate.mjs'
import { readOptions, usage } from './options.mjs'
import { benchPlan } from './plan.mjs'
import { reports } from './reports.mjs'
import { benchScaling } from './scaling.mjs'
import { benchStart } from './start.mjs'
import { benchTensorboard } from './tensorboard.mjs'
import { benchTrain } from './train.mjs'
import { benchWeights } from './weights.mjs'

const benches = {
  train: benchTrain,
  scaling: benchScaling,
  start: benchStart,
  generate: benchGenerate,
  export: benchExport,
  plan: benchPlan,
  tensorboard: benchTensorboard,
  weights: benchWeights,
}

function options() {
  try {
    return readOptions(process.argv.slice(2))
  } catch (error) {
    process.stderr.write(`${error.message}\n\n${usage}`)
    process.exit(2)
  }
}

const given = options()
const bench = benches[given.bench === 'train' && given.scaling ? 'scaling' : given.bench]
if (!bench) {
  process.stderr.write(usage)
  process.exit(2)
}
const command = ['npm run bench --', ...process.argv.slice(2)].join(' ')
const result = { command, ...(await bench(given)) }
if (given.json) writeFileSync(given.json, `${JSON.stringify(result, null, 2)}\n`)
const report = reports[result.bench](result)
process.stdout.write(`${report.terminal}\n`)
if (given.writeDocs) writeDocs(report)
if (Object.keys(result.failures ?? {}).length > 0) process.exitCode = 1
