// `npm run quickstart`: from a fresh machine to an adapter that writes instructions. Sets up what is missing, then does
// the main job on examples/seed.jsonl with the command line itself, each command shown as it runs.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { bold, cli, dim, duration, fail, green, root, Steps, say } from './console.mjs'
import { prepare, prepareSteps } from './prepare.mjs'
import { sideBySide } from './table.mjs'

/** Optimizer steps of 4 rows: most of one pass over the seed set, about 31,000 tokens. Small steps learn more from few rows. */
const defaultSteps = '36'

const folder = 'runs/quickstart'
const files = {
  train: `${folder}/seed.jsonl`,
  heldBack: `${folder}/seed.validation.jsonl`,
  adapter: `${folder}/adapter`,
  written: `${folder}/written.jsonl`,
  scores: `${folder}/scores.json`,
}

/** The four commands of the main job, as a user would type them. */
function commands(maxSteps) {
  return [
    {
      title: 'clean the seed pairs and hold some back',
      args: `preprocess --input examples/seed.jsonl --output ${files.train} --validation 0.12 --force`,
    },
    {
      title: 'train an adapter that writes the instruction of a response',
      args:
        `train --model smollm2-135m --data ${files.train} --validation-data ${files.heldBack} --output ${files.adapter}` +
        ` --grad-accum-steps 1 --max-steps ${maxSteps} --force`,
    },
    {
      title: 'write instructions for the responses held back',
      args: `generate --adapter ${files.adapter} --input ${files.heldBack} --output ${files.written} --greedy --max-new-tokens 64 --force`,
    },
    {
      title: 'compare them with the true ones',
      args: `evaluate --predictions ${files.written} --adapter ${files.adapter} --samples 0 --output ${files.scores} --force`,
    },
  ]
}

async function main() {
  const { values } = parseArgs({ options: { 'max-steps': { type: 'string', default: defaultSteps } } })
  const work = commands(values['max-steps'])
  const steps = new Steps(prepareSteps + work.length)
  await prepare(steps)
  for (const { title, args } of work) {
    await steps.run(title, () => {
      say(dim(`      $ npx bt-native ${args}`))
      return cli(...args.split(' '))
    })
  }
  show(steps.elapsed)
}

/** The outcome: written beside true, then ROUGE-L beside its control. */
function show(elapsed) {
  const rows = readFileSync(join(root, files.written), 'utf8')
    .split('\n')
    .flatMap((line) => (line ? [JSON.parse(line)] : []))
  const print = (text) => process.stdout.write(`${text}\n`)
  print('')
  const pairs = rows.slice(0, 10).map(({ reference, instruction }) => [reference ?? '', instruction])
  print(sideBySide(['the true instruction', 'what the adapter wrote for the response'], pairs, process.stdout.columns))
  if (rows.length > pairs.length) print(dim(`(${rows.length - pairs.length} more in ${files.written})`))
  print('')
  print(scoreLine(JSON.parse(readFileSync(join(root, files.scores), 'utf8'))))
  print(`${green('done')} in ${duration(elapsed)}. Adapter: ${files.adapter} (PEFT)`)
  print('next: npx bt-native generate --adapter runs/quickstart/adapter --input YOUR.jsonl --output pairs.jsonl')
}

/** "ROUGE-L 31.2 (95 % interval 27.1 to 35.5) · shuffled control 12.3" */
export function scoreLine({ metrics, referenced }) {
  const { value, interval, controls } = metrics.rougeL
  const range = interval ? ` (95 % interval ${interval[0].toFixed(1)} to ${interval[1].toFixed(1)})` : ''
  const shuffled = controls.shuffled.value.toFixed(1)
  return (
    `${bold(`ROUGE-L ${value.toFixed(1)}`)}${range} over ${referenced} rows, against ${bold(shuffled)}` +
    ' when the same outputs are dealt to the wrong rows (shuffled control)'
  )
}

if (process.argv[1] === join(root, 'scripts', 'quickstart.mjs')) await main().catch(fail)
