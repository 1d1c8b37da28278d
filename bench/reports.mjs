// What each result looks like, for the terminal and as Markdown.
import { contestants } from './contestants.mjs'
import { gigabytes, report, rounded, shortCommand, table, times, withSpread } from './format.mjs'
import { machineLine } from './machine.mjs'
import { kinds } from './plan.mjs'

const titleOf = (name) => contestants[name]?.title ?? name
const listed = (numbers, show) =>
  Object.entries(numbers)
    .map(([name, value]) => `${name} ${show(value)}`)
    .join(', ')

function failureLines(failures = {}) {
  return Object.entries(failures).map(([name, message]) => `${titleOf(name)} is missing, it failed: ${message}`)
}

function ending(result) {
  return [...failureLines(result.failures), `\`${shortCommand(result.command)}\``]
}

function trainReport(result) {
  const { machine, model, mode, data, agreement, contestants: measured, settings, fastestPeer } = result
  const names = Object.keys(measured)
  const rows = names.map((name) => {
    const one = measured[name]
    const { rows: microBatch, malloc } = settings[name]
    return [
      titleOf(name),
      withSpread(one.tokensPerSecond, one.spread),
      gigabytes(one.peakBytes),
      one.warmUpSeconds >= 1 ? `${rounded(one.warmUpSeconds)} s` : '',
      `${rounded(one.epochSeconds / 60, 1)} min`,
      contestants[name].settings ? `${microBatch}, ${malloc}` : '',
    ]
  })
  const heads = [
    '',
    'tokens/s, median (spread)',
    'peak memory',
    'warm-up',
    'an epoch from process start',
    'micro-batch, malloc',
  ]
  return report(`train-${model.name}${machine.gpu ? '-gpu' : ''}`, [
    `${model.title}, ${mode}, ${rounded(data.tokensPerStep)} useful tokens a step, LoRA r ${result.lora.r}. ${machineLine(machine)}.`,
    ...(agreement ? [agreementLine(agreement)] : []),
    ...(names.length > 0 ? [table(heads, rows)] : []),
    ...sweepTables(result.sweeps),
    ...(result.ratioToFastestPeer ? [ratioLine(result, titleOf(fastestPeer))] : []),
    ...ending(result),
  ])
}

function agreementLine({ steps, rowsPerStep, tokens, largestDifference }) {
  const differences = listed(largestDifference, (value) => value.toExponential(1))
  return `Losses of ${steps} optimizer steps (${rowsPerStep} short rows each, ${rounded(tokens / steps)} tokens) differ from the careful loop's by at most: ${differences}.`
}

function ratioLine({ ratioToFastestPeer, ratioToCareful, peakToLowestPeer, largestLossDifference }, fastest) {
  const lines = [`Times the fastest peer (${fastest}), median of the rounds: ${listed(ratioToFastestPeer, times)}.`]
  if (ratioToCareful) lines.push(`Times the careful loop: ${listed(ratioToCareful, times)}.`)
  lines.push(`Peak memory over the lowest peer's: ${listed(peakToLowestPeer, times)}.`)
  if (largestLossDifference && Object.keys(largestLossDifference).length > 0) {
    lines.push(
      `Largest difference to the careful loop's loss while timed: ${listed(largestLossDifference, (v) => v.toExponential(1))}.`,
    )
  }
  return lines.join('\n')
}

function sweepTables(sweeps) {
  const tried = Object.entries(sweeps)
  if (tried.length === 0) return []
  const rows = tried.flatMap(([name, list]) =>
    list.map(({ rows, malloc, tokensPerSecond }) => [titleOf(name), `${rows}`, malloc, rounded(tokensPerSecond)]),
  )
  return ['Settings tried on one step:', table(['', 'rows of a micro-batch', 'malloc', 'tokens/s'], rows)]
}

function scalingReport(result) {
  const { machine, model, curves } = result
  const parts = Object.entries(curves).flatMap(([name, curve]) => {
    const names = Object.keys(curve.points[0].rates)
    const rows = curve.points.map(({ value, tokens, rates, peakBytes }) => [
      rounded(value),
      rounded(tokens),
      ...names.map((one) => (rates[one] ? withSpread(rates[one].median, rates[one].spread) : 'failed')),
      ...names.map((one) => (peakBytes[one] ? gigabytes(peakBytes[one]) : '')),
    ])
    const heads = [
      name,
      'tokens a step',
      ...names.map((one) => `${one}, tokens/s`),
      ...names.map((one) => `${one}, peak`),
    ]
    return [curve.words, table(heads, rows)]
  })
  return report('scaling', [
    `${model.title}, LoRA r ${result.lora.r}. ${machineLine(machine)}.`,
    ...parts,
    ...ending(result),
  ])
}

function startReport(result) {
  const { machine, model, tokens, contestants: measured } = result
  const rows = Object.entries(measured).map(([name, { beforeStep, firstStep, spread }]) => [
    titleOf(name),
    withSpread(firstStep, spread, 2),
    rounded(beforeStep, 2),
  ])
  const heads = ['', 'start of the process to the end of the first step, s', 'before that step, s']
  return report('start', [
    `${model.title}, one step of one row of ${tokens} tokens, caches warm, the rows of all tokenized beforehand. ${machineLine(machine)}.`,
    table(heads, rows),
    ...ending(result),
  ])
}

function generateReport(result) {
  const { machine, model, rows: count, maxNewTokens, contestants: measured, identical, bandwidth } = result
  const rows = Object.entries(measured).map(([name, one]) => [
    one.title,
    withSpread(one.rowsPerSecond, one.spread, 2),
    rounded(one.newTokensPerSecond, 1),
    withSpread(one.prefill.median, one.prefill.spread),
    withSpread(one.decode.median, one.decode.spread, 1),
    gigabytes(one.peakBytes),
    `${one.batch}`,
    identical[name] === undefined ? '' : `${rounded(identical[name] * 100, 1)} %`,
  ])
  const heads = ['', 'rows/s, median (spread)', 'new tokens/s', 'one sequence: prompt, tokens/s', 'decoding, tokens/s']
  const more = ['peak memory', 'side by side', 'same text as bt-native']
  const ratio = (key, words) => (result[key] ? [`${words} ${times(result[key])}`] : [])
  const over = [
    ...ratio('rowsPerSecondVsTransformers', 'rows/s over transformers'),
    ...ratio('rowsPerSecondVsLlamaCpp', 'over node-llama-cpp F16'),
    ...ratio('rowsPerSecondVsLlamaCppQ8', 'of 8 bits over its Q8_0'),
    ...ratio('prefillVsLlamaCpp', 'prompt over its F16'),
    ...ratio('prefillVsLlamaCppQ8', 'over its Q8_0 at 8 bits'),
    ...ratio('decodeVsLlamaCpp', 'decoding over its F16'),
    ...ratio('decodeVsLlamaCppQ8', 'over its Q8_0 at 8 bits'),
    ...ratio('decodeVsTransformers', 'over transformers'),
  ]
  const limits = Object.entries(bandwidth?.shares ?? {}).map(
    ([name, { bytesPerToken, gigabytesPerSecond, share }]) =>
      `${measured[name].title} reads ${rounded(bytesPerToken / 1e6)} MB of weights a token, ${rounded(gigabytesPerSecond, 1)} GB/s: ${rounded(100 * share)} % of the ${rounded(bandwidth.gigabytesPerSecond, 1)} GB/s measured beside it.`,
  )
  return report('generate', [
    `${model.title}${result.adapter ? ' with an adapter' : ''}, greedy, ${count} prompts a window, at most ${maxNewTokens} new tokens. ${machineLine(machine)}.`,
    table([...heads, ...more], rows),
    ...(over.length > 0 ? [`bt-native, medians of the windows: ${over.join(', ')}.`] : []),
    ...limits,
    ...ending(result),
  ])
}

const largest = (families, reader) => Math.max(...families.map((one) => one[reader])).toExponential(1)

function exportReport(result) {
  const { machine, model, rows: count, scored, maxNewTokens, versions, families, sameIds, results } = result
  const share = (part) => (part === undefined ? '' : `${rounded(100 * part, 1)} %`)
  const rows = results.map(({ to, dtype, bytes, comparison, peer, change }) => [
    `${to} ${dtype}`,
    `${rounded(bytes / 1e6)} MB`,
    comparison.largestLogitDifference.toPrecision(2),
    change.mean.toPrecision(2),
    share(change.sameTexts),
    peer.mean.toPrecision(2),
    peer.largest.toPrecision(2),
    share(peer.sameTexts),
  ])
  const heads = [
    '',
    'size',
    'largest logit difference to the unmerged model',
    'mean log p to the unmerged model, nats',
    'same greedy text as the unmerged model',
    'mean log p, its reader to bt-native, nats',
    'largest of one token',
    'same greedy text, its reader and bt-native',
  ]
  return {
    ...report('export', [
      `${model} with an adapter, ${count} real pairs (${rounded(scored)} tokens of targets), at most ${maxNewTokens} new tokens. Folders are read by transformers, files by llama.cpp (node-llama-cpp ${versions['node-llama-cpp']}), both beside bt-native reading the same; all in FP32 on ${machine.processor}.`,
      table(heads, rows),
      `Tiny random models of every family, in FP32, merged: log p of each token is within ${largest(families, 'transformers')} (transformers) and ${largest(families, 'llama')} (llama.cpp) of PEFT's for the unmerged model.`,
      `llama.cpp cuts ${share(sameIds.share)} of ${rounded(sameIds.texts)} real texts into the same ids.`,
      ...ending(result),
    ]),
    file: 'export.md',
  }
}

function planReport(result) {
  const { machine, model, steps, runs, failures } = result
  const signed = (ratio) => `${ratio > 0 ? '+' : ''}${rounded(ratio * 100, 1)} %`
  const rows = runs.map((run) => [
    [run.batchSize, kinds[run.kind].title].filter(Boolean).join(', '),
    rounded(run.tokensAtOnce),
    gigabytes(run.planned),
    gigabytes(run.measured),
    signed(run.difference),
    run.plannedSeconds === undefined ? '' : rounded(run.plannedSeconds, 1),
    rounded(run.secondsPerStep, 1),
  ])
  const heads = [
    'rows at a time',
    'tokens at once',
    'memory, planned',
    'measured, peak resident',
    'difference',
    'a step, planned, s',
    'measured, s',
  ]
  return report(machine.precision === 'bf16' ? 'plan' : `plan-${machine.precision}`, [
    `${model.title}, ${steps} steps of 16 rows each, validation and samples before and after. ${machineLine(machine)}.`,
    table(heads, rows),
    ...Object.entries(failures).map(([name, message]) => `${name}: ${message}.`),
    `\`${shortCommand(result.command)}\``,
  ])
}

function tensorboardReport({ curves, points, failures, command }) {
  const wrong = Object.entries(failures)
  return report('tensorboard', [
    wrong.length === 0
      ? `tensorboard reads all ${rounded(points)} points of ${curves} curves as metrics.jsonl has them, each step once.`
      : 'tensorboard reads something else than metrics.jsonl has:',
    ...wrong.map(([tag, message]) => `${tag}: ${message}`),
    `\`${shortCommand(command)}\``,
  ])
}

function weightsReport(result) {
  const rows = result.kinds.map(({ title, nats, apart, mostApart }) => [
    title,
    rounded(nats, 4),
    rounded(apart, 4),
    rounded(mostApart, 2),
  ])
  return report('weights', [
    `SmolLM2-135M${result.adapter ? ' with its adapter' : ''}, ${result.rows} pairs, ${rounded(result.tokens)} scored tokens. ${machineLine(result.machine)}.`,
    table(['weights', 'nats a token', 'median difference of a token to FP32', 'largest'], rows),
    ...ending(result),
  ])
}

export const reports = {
  export: exportReport,
  train: trainReport,
  scaling: scalingReport,
  start: startReport,
  generate: generateReport,
  plan: planReport,
  tensorboard: tensorboardReport,
  weights: weightsReport,
}
