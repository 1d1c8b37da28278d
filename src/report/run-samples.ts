// Rows of a run as cards: kept beside dropped ones with scores and reasons. Long texts are folded, very long ones cut.
import { type Html, html } from './html.js'
import { countText } from './numbers.js'
import { firstWords } from './page.js'
import type { RunCuration, RunSample } from './run.js'

/** Characters that stand open, and at most. */
const openCharacters = 360
const mostCharacters = 8000

/** Kept rows at the left, dropped ones at the right. */
export function curationSamples({ iteration, samples = [] }: RunCuration): Html | undefined {
  if (samples.length === 0) return undefined
  const column = (kept: boolean, title: string) => {
    const rows = samples.filter((sample) => sample.kept === kept)
    return html`<div><h4 class="${kept ? 'kept' : 'dropped'}">${title}</h4>
${rows.length > 0 ? rows.map(sampleCard) : html`<p class="note">None among the rows shown.</p>`}</div>`
  }
  return html`<h3>Rows of curation ${iteration}</h3>
<div class="sides">${column(true, 'Kept')}${column(false, 'Dropped')}</div>`
}

function sampleCard(sample: RunSample): Html {
  return html`<article class="card row-card"><p class="label">instruction</p>${textBlock(sample.instruction)}
<p class="label">response</p>${textBlock(sample.response)}
${reason(sample)}</article>
`
}

function reason({ id, kept, why, scores }: RunSample): Html {
  const numbers = scores.map(({ name, value }) => html`<li><span>${name}</span> ${scoreText(value)}</li>`)
  return html`<ul class="scores">${numbers}</ul>
<p class="why ${kept ? 'kept' : 'dropped'}"><b>${kept ? 'kept' : 'dropped'}</b>${why !== '' && html` <bdi>${why}</bdi>`} <code>${id}</code></p>`
}

function scoreText(value: number): string {
  if (!Number.isFinite(value)) return '–'
  const text = Number.isInteger(value) ? countText(value) : String(Number(value.toPrecision(3)))
  return text.replace('-', '−')
}

/** A text with its line ends, in its own direction. */
export function textBlock(text: string): Html {
  if (text.trim() === '') return html`<p class="note">(nothing)</p>`
  if (text.length <= openCharacters) return html`<p class="text" dir="auto">${text}</p>`
  const more = text.length - mostCharacters
  const shown = more > 0 ? text.slice(0, mostCharacters) : text
  const rest = more > 0 && html`<p class="note">… and ${countText(more)} characters more, in the run's files.</p>`
  return html`<details><summary><span class="head" dir="auto">${firstWords(shown)}</span>
<span class="note">${countText(text.length)} characters</span></summary><p class="text" dir="auto">${shown}</p>${rest}</details>`
}
