// An audit as one HTML page that needs nothing else. Whatever texts the rows hold, they show as they are and do nothing.
import { type Audit, type AuditRow, type AuditRowSize, type AuditToken, type Spread, stretchesOf } from './audit.js'
import { auditFacts, notableRows, overlapRows, rowText, templateText, turnsText } from './audit-facts.js'
import { auditStyle } from './audit-style.js'
import { type Html, html } from './html.js'
import { countOf, countText } from './numbers.js'
import { pageOf } from './page.js'
import { trainingStyle } from './training-style.js'
import { visible } from './visible.js'

/** The whole document. */
export function auditPage(audit: Audit): string {
  const title = `Audit of ${audit.data}`
  const files = audit.validationData === undefined ? '' : `, validated on ${audit.validationData}`
  const body = html`<h1>${title}</h1>
<p class="subtitle">what ${audit.model} is trained on, at most ${countText(audit.maxTokens)} tokens a row${files}</p>
<dl class="tiles">${auditFacts(audit).map(tile)}</dl>
<h2>Template</h2>
<p class="note">${templateText(audit)}. The loss counts what stands for {target} and its end.</p>
<div class="card"><pre>${visible(audit.template.text ?? '').replaceAll('↵', '')}</pre></div>
${conversation(audit)}
<h2>Lengths</h2>
<div class="pair">${histogram('Tokens a row', audit.lengths)}${histogram('Scored tokens a row', audit.targetLengths)}</div>
${leftOut(audit)}
${overlap(audit)}
${notable(audit)}
<h2>Rows</h2>
<p class="note legend-tokens"><b class="scored">scored: the loss counts it</b><span>read, not scored</span>
<b class="cut">cut: no part of the row</b><span>A change of shade is the next token; point at one for its id.</span></p>
${audit.rows.map(rowCard)}
<footer>Written by <code>bt-native audit</code>.</footer>`
  return pageOf({ title, style: trainingStyle + auditStyle, body })
}

function conversation({ template: { conversation }, turns }: Audit): Html | undefined {
  if (!conversation) return undefined
  return html`<p class="note">Conversations: ${turnsText(turns)}, each with all before it as context; two exchanges stand for any number.</p>
<div class="card"><pre>${visible(conversation.text).replaceAll('↵', '')}</pre></div>`
}

function tile({ name, value, bad }: { name: string; value: string; bad?: boolean }): Html {
  return html`<div class="${bad ? 'bad' : 'good'}"><dt>${name}</dt><dd>${value}</dd></div>`
}

function histogram(name: string, { shortest, median, p95, longest, bins }: Spread): Html {
  const most = Math.max(...bins.map(({ rows }) => rows))
  const bar = (rows: number) =>
    html`<i class="${rows === 0 ? 'zero' : 'some'}" style="width:${(80 * rows) / most}%"></i>`
  return html`<div class="card"><h3>${name}</h3>
<p class="note">shortest ${countText(shortest)}, median ${countText(median)}, 95 % up to ${countText(p95)}, longest ${countText(longest)}</p>
<div class="bars">${bins.map(({ from, to, rows }) => {
    return html`<span class="range">${countText(from)} – ${countText(to)}</span><span class="bar">${bar(rows)}${countText(rows)}</span>
`
  })}</div></div>`
}

function leftOut({ leftOut }: Audit): Html | undefined {
  if (leftOut.length === 0) return undefined
  return html`<h2>Left out</h2>
<div class="card wide"><table><tr><th>reason</th><th class="number">rows</th><th>first</th></tr>
${leftOut.map(({ reason, count, examples }) => {
  return html`<tr><td>${reason}</td><td class="number">${countText(count)}</td><td>${examples.join(', ')}</td></tr>
`
})}</table></div>`
}

function overlap({ overlap }: Audit): Html | undefined {
  const kinds = overlapRows(overlap)
  if (overlap.validation === 0) return undefined
  const all = countOf(overlap.validation, 'validation row')
  if (kinds.length === 0) {
    return html`<h2>Validation rows seen in training</h2>
<p class="note">None of the ${all} has the context or the target of a training row, and none is nearly one.</p>`
  }
  return html`<h2>Validation rows seen in training</h2>
<p class="note">Of the ${all}: ${kinds.map(({ words, rows }) => `${countText(rows)} ${words}`).join(', ')}. Nearly the same:
at least ${100 * overlap.nearFrom} % of their runs of five words are shared.</p>
<div class="card wide"><table><tr><th>what</th><th>validation row</th><th>training row</th><th>target</th></tr>
${overlap.examples.map(({ kind, validation, train, text }) => {
  return html`<tr><td>${kind}</td><td><code>${validation}</code></td><td><code>${train}</code></td><td>${text}</td></tr>
`
})}</table></div>`
}

function notable(audit: Audit): Html {
  const shown = new Set(audit.rows.map(anchorOf))
  const number = (value: number) => html`<td class="number">${countText(value)}</td>`
  const name = (row: AuditRowSize) => {
    const anchor = anchorOf(row)
    return shown.has(anchor) ? html`<a href="#${anchor}">${row.row}</a>` : html`${row.row}`
  }
  return html`<h2>Longest and most cut rows</h2>
<div class="card wide"><table>
<tr><th class="number">row</th><th>id</th>${['tokens', 'scored', 'cut'].map((word) => html`<th class="number">${word}</th>`)}</tr>
${notableRows(audit).map((row) => {
  return html`<tr><td class="number">${name(row)}</td><td><code>${row.id}</code></td>${[row.tokens, row.scored, row.cut].map(number)}</tr>
`
})}</table></div>`
}

function anchorOf({ set, row }: AuditRowSize): string {
  return `${set}-${row}`
}

function rowCard(row: AuditRow): Html {
  const [name, ...rest] = rowText(row).split(' · ')
  return html`<div class="card row" id="${anchorOf(row)}"><h3>${name} <span class="note">${rest.join(' · ')}</span></h3>
<p class="tokens">${stretchesOf(row.parts).map(({ kind, tokens }) => html`<span class="${kind}">${tokens.map(tokenMarkup)}</span>`)}</p></div>
`
}

/** In one line: white space between the tags would show. */
function tokenMarkup({ id, text, form, completes }: AuditToken): Html {
  if (form === 'control') return html`<b class="control" title="${id}">${text}</b>`
  if (form === 'bytes') {
    const whole = completes === undefined ? undefined : visible(completes)
    return html`<b title="${id}"><span class="sign">${text}</span>${whole}</b>`
  }
  if (text === '') return html`<b class="sign" title="${id}">token ${id}</b>`
  return html`<b title="${id}">${visible(text)
    .split('↵\n')
    .map((part, at) => (at === 0 ? part : html`<span class="end">↵</span>${'\n'}${part}`))}</b>`
}
