// Trains until the validation rows say that it is enough, and hands over the adapter that did best on them.
//
//   node examples/best-adapter.mjs [DATA] [OUTPUT] [MODEL]
import { train } from 'bt-native'

const [data = 'examples/seed.jsonl', output = 'runs/best', model = 'smollm2-135m'] = process.argv.slice(2)

// At most 10 epochs, and an end once 2 validations in a row were not better by more than a hundredth of a nat.
const patience = { epochs: 10, validation: 0.1, validateEvery: 4, patience: 2, minChange: 0.01 }
const run = train({ model, data, output, samples: 0, ...patience })
let next = await run.next()
for (; !next.done; next = await run.next()) {
  const event = next.value
  if (event.type === 'validation') {
    console.log(`step ${event.step}: validation ${event.loss.toFixed(3)}${event.best ? ', best so far' : ''}`)
  }
  if (event.type === 'early-stop') console.log(`stopped after step ${event.step} of ${event.steps}`)
}

// What the generator returns is the summary.
const { selectedStep, selectedLoss, baseLoss } = next.value
console.log(
  `${output}: the adapter after step ${selectedStep}, ${selectedLoss.toFixed(3)} nats (base ${baseLoss.toFixed(3)})`,
)
console.log(`${output}/best and ${output}/last: the best one and the last one`)
