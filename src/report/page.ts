// What all pages share: a document that needs no network and runs no script, and the parts that each has.
import { Html, html } from './html.js'
import type { Fact } from './training.js'

/** A whole document around `body`. `style` is CSS of the package itself, never text of a user. */
export function pageOf({ title, style, body }: { title: string; style: string; body: Html }): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${title}</title>
<style>${new Html(style)}</style>
</head>
<body>
<main>
${body}
</main>
</body>
</html>
`.text
}

/** Numbers to be seen first, each with its name. */
export function tiles(facts: readonly Fact[]): Html {
  return html`<dl class="tiles">${facts.map(({ name, value }) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`
}

export function card(title: string, content: Html): Html {
  return html`<div class="card"><h3>${title}</h3>${content}</div>`
}

/** A row a fact. */
export function factTable(facts: readonly Fact[]): Html {
  return html`<table>${facts.map(({ name, value }) => html`<tr><td>${name}</td><td>${value}</td></tr>`)}</table>`
}

/** Options in columns, those that are marked so that they are seen. */
export function optionList(facts: readonly Fact[]): Html {
  const value = (fact: Fact) => (fact.marked ? html`<span class="marked">${fact.value}</span>` : fact.value)
  return html`<dl class="options">
${facts.map((fact) => html`<div><dt>${fact.name}</dt><dd>${value(fact)}</dd></div>`)}
</dl>`
}

/** Characters of a text that head it; the page cuts them to its width. */
export function firstWords(text: string): string {
  const flat = text.slice(0, 1000).replace(/\s+/g, ' ').trim()
  return flat.length > 160 || text.length > 1000 ? `${flat.slice(0, 160).trimEnd()}…` : flat
}
