// A run of the loop as one HTML page that needs nothing else: how rows flowed from stage to stage, scores before and after
// the selection, losses, comparisons, rows, settings. Pure: data in, text out.

import { formatDuration } from '../units.js'
import { forestPlot } from './forest.js'
import { type Html, html } from './html.js'
import { countText, percentText } from './numbers.js'
import { card, optionList, pageOf, tiles } from './page.js'
import type { RunReport, RunStage } from './run.js'
import { flowDiagram } from './run-flow.js'
import { lossesSection } from './run-losses.js'
import { curationSamples, textBlock } from './run-samples.js'
import { calibrationTables, scoreHistograms } from './run-scores.js'
import { runStyle } from './run-style.js'
import { secondsOf, stateText, timeText } from './run-words.js'
import { oneLine } from './table.js'
import type { Fact } from './training.js'
import { trainingStyle } from './training-style.js'

/** The whole document. Whatever texts a run holds, they show as they are and do nothing. */
export function runPage(report: RunReport): string {
  const { title = 'run', subtitle, stages, curations = [], comparisons = [] } = report
  const body = html`<h1>${title}<span class="state">${stateText(report)}</span></h1>
<p class="subtitle">${subtitle}</p>
${tiles([...timeFacts(report), ...(report.summary ?? [])])}
<h2 id="stages">Stages</h2>
${
  stages.length > 0
    ? html`<div class="card flow" role="group" aria-label="flow diagram">${flowDiagram(stages)}</div>
<p class="note">Lines are as thick as the rows that go along them; dashed: a model, or nothing
yet. What a stage reads from one further up is not drawn where other stages lie between.</p>${stageTable(stages)}`
    : html`<p class="note">No stage yet.</p>`
}
${droppedSection(stages)}
${
  comparisons.length > 0 &&
  html`<h2 id="measured">What was measured</h2>
<p class="note">Points with their 95 % intervals.</p><div class="forests">${comparisons.map(forestPlot)}</div>`
}
${curationSection(report)}
${calibrationTables(curations)}
${lossesSection(report.losses ?? [])}
${settingsSection(report.settings)}
${lineageSection(report)}
<footer>Written by <code>bt-native run</code> after each stage, from the files beside it.</footer>`
  return pageOf({ title: `${title} · run report`, style: trainingStyle + runStyle, body })
}

function timeFacts({ started, stages }: RunReport): Fact[] {
  const facts: Fact[] = []
  if (started !== undefined) facts.push({ name: 'Begun', value: dateText(started) })
  if (secondsOf(stages) > 0) facts.push({ name: 'Time of all stages', value: formatDuration(secondsOf(stages)) })
  return facts
}

/** "2026-11-26 09:40 UTC"; what is no date as it is. */
function dateText(iso: string): string {
  const date = new Date(iso)
  return Number.isNaN(date.getTime()) ? iso : `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

/** Columns of what is said of a stage: an error may be long. */
const mostWords = 400

function stageTable(stages: readonly RunStage[]): Html {
  const count = (value: number | undefined) =>
    html`<td class="number">${value === undefined ? '' : countText(value)}</td>`
  const row = (
    stage: RunStage,
  ) => html`<tr class="${stage.status}"><th scope="row">${stage.name}</th><td class="status">${stage.status}</td>
${count(stage.rowsIn)}${count(stage.rowsOut)}<td class="number">${timeText(stage)}</td><td class="came" data-status="${stage.status}"><bdi>${oneLine(stage.error ?? stage.note ?? stage.title ?? '', mostWords)}</bdi></td></tr>
`
  return html`<div class="card wide" role="region" tabindex="0" aria-label="stages"><table class="stages">
<tr><th scope="col">stage</th><th scope="col" class="status">status</th><th scope="col" class="number">rows in</th><th scope="col" class="number">rows out</th><th scope="col" class="number">time</th><th scope="col" class="came">what came of it</th></tr>
${stages.map(row)}</table></div>`
}

/** What each stage left out, most first. */
function droppedSection(stages: readonly RunStage[]): Html | undefined {
  const all = stages.flatMap((stage) =>
    (stage.dropped ?? [])
      .filter(({ count }) => count > 0)
      .toSorted((a, b) => b.count - a.count)
      .map((drop, at) => ({ ...drop, stage: at === 0 ? stage.name : '', of: inputOf(stage) })),
  )
  if (all.length === 0) return undefined
  const most = Math.max(...all.map(({ count }) => count))
  return html`<h2 id="dropped">What was dropped, and why</h2>
<div class="card wide" role="region" tabindex="0" aria-label="dropped rows"><table class="dropped">
<tr><th scope="col">stage</th><th scope="col">reason</th><th scope="col" class="number">rows</th><th scope="col" class="number">of its input</th><td class="bar"></td></tr>
${all.map(({ stage, reason, count, of }) => {
  const share = of === undefined ? '' : percentText(count / of)
  return html`<tr class="${stage === '' ? 'same' : 'first'}"><th scope="row">${stage}</th><td><bdi>${reason}</bdi></td><td class="number">${countText(count)}</td>
<td class="number">${share}</td><td class="bar" aria-hidden="true"><i style="width:${((100 * count) / most).toFixed(1)}%"></i></td></tr>
`
})}</table></div>`
}

/** Rows that a stage got, where what it dropped are some of these: documents are cut into texts, of which it drops some. */
function inputOf({ rowsIn, rowsOut = 0, dropped = [] }: RunStage): number | undefined {
  const counted = dropped.reduce((sum, { count }) => sum + count, rowsOut)
  return rowsIn === undefined || rowsIn === 0 || counted > rowsIn ? undefined : rowsIn
}

function curationSection({ curations = [] }: RunReport): Html | undefined {
  if (curations.length === 0) return undefined
  const kept = curations.map(({ iteration, kept, rows }) => {
    const share = rows > 0 ? ` (${percentText(kept / rows)})` : ''
    return `Iteration ${iteration}: ${countText(kept)} of ${countText(rows)} kept${share}.`
  })
  return html`<h2 id="curation">Before and after curation</h2>
<p>${kept.join(' ')}</p>
${scoreHistograms(curations)}
${curations.map(curationSamples)}`
}

/** Characters of a value that stands beside its name; a longer one has lines of its own. */
const shortValue = 48
/** Characters of one that is not folded. */
const longValue = 1000

/** "augment.topP" stands under "augment"; what has no such beginning stands first. */
function settingsSection(settings: readonly Fact[] = []): Html | undefined {
  if (settings.length === 0) return undefined
  const groups = new Map<string, Fact[]>([['', []]])
  for (const fact of settings) {
    const [, group = '', name = fact.name] = /^(\w[\w-]*)\.(.+)$/s.exec(fact.name) ?? []
    groups.set(group, [...(groups.get(group) ?? []), { ...fact, name }])
  }
  const drawn = [...groups].filter(([, facts]) => facts.length > 0)
  return html`<h2 id="settings">Settings</h2>
<div class="facts settings">${drawn.map(([group, facts]) => card(group === '' ? 'Recipe' : group, settingsList(facts)))}</div>`
}

function settingsList(facts: readonly Fact[]): Html {
  const long = facts.filter(({ value }) => value.length > shortValue || value.includes('\n'))
  const rest = facts.filter((fact) => !long.includes(fact))
  return html`${rest.length > 0 && optionList(rest)}${long.map(
    ({ name, value }) =>
      html`<p class="label">${name}</p>${value.length > longValue ? textBlock(value) : html`<pre class="value" dir="auto">${value}</pre>`}`,
  )}`
}

function lineageSection({ lineage }: RunReport): Html | undefined {
  if (!lineage) return undefined
  const { file, id = 'ID' } = lineage
  return html`<h2 id="lineage">Where a row comes from</h2>
<div class="card"><p><code>${file}</code> has a line for every pair that was ever written: document and place, models, prompt
and sampling, scores by iteration, why it was kept or dropped. In the run's folder:</p>
<pre>npx bt-native trace ${id}
duckdb -c "SELECT origin, count(*) FROM '${file}' GROUP BY origin"</pre></div>`
}
