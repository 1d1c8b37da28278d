// Whether one model answers better than another, on pairs that neither was trained on: how likely each takes the true
// responses to be, and how close its own come to them. Their base model stands beside them.
//
//   node examples/compare.mjs OUTPUT MODEL [OTHER ...]
//
// MODEL is an adapter trained with --task forward, or a model; "name=runs/m1" gives it a name. With JUDGE (the address of an
// OpenAI-compatible endpoint) and JUDGE_MODEL in the environment a judge chooses between what they wrote.
import { fileURLToPath } from 'node:url'
import { compare } from 'bt-native'

const [output, ...models] = process.argv.slice(2)
if (models.length === 0) throw new Error('usage: node examples/compare.mjs OUTPUT MODEL [OTHER ...]')

const data = fileURLToPath(new URL('seed.jsonl', import.meta.url))
const { JUDGE: judge, JUDGE_MODEL: judgeModel } = process.env
const options = { models, data, output, limit: 10, maxNewTokens: 64, maxTokens: 1024, judge, judgeModel }
const { comparison, alreadyDone } = await compare(options)
if (alreadyDone) console.log(`${output} is finished already`)

const range = ({ value, interval }) => `${value.toFixed(3)} (${interval.map((bound) => bound.toFixed(3)).join(' to ')})`
for (const { name, likelihood, shuffled } of comparison.models) {
  console.log(
    `${name}: log p a token ${range(likelihood.logProb)}, of other rows' responses ${range(shuffled.logProb)}`,
  )
}
for (const { model, baseline, difference } of comparison.likelihood) {
  console.log(`${model} against ${baseline}: ${range(difference)}, p ${difference.p.toFixed(3)}`)
}
for (const { system, baseline, metrics, wins, ties, losses } of comparison.writing?.differences ?? []) {
  const { rougeL } = metrics
  console.log(`${system} against ${baseline}: ROUGE-L ${range(rougeL)}; ${wins} wins, ${ties} ties, ${losses} losses`)
}
for (const { model, baseline, wins, ties, losses, unparsable } of comparison.judgement?.preferences ?? []) {
  console.log(
    `judge, ${model} against ${baseline}: ${wins} wins, ${ties} ties, ${losses} losses, ${unparsable} unreadable`,
  )
}
