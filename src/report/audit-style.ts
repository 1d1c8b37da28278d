// What an audit's page has beside the style of a training report: bars, and tokens told apart by more than colour.

export const auditStyle = `
:root { --scored: #c9ebcf; --scored-2: #b3e0bb; --scored-line: #1e7a34; --cut: #fbd5d1; --cut-2: #f6c2bc; --cut-line: #b3261e;
  --token: #eef0f3; --control: #4a3fa3; }
@media (prefers-color-scheme: dark) { :root { --scored: #1d4a2a; --scored-2: #265c35; --scored-line: #6fd08a; --cut: #55221f;
  --cut-2: #682b27; --cut-line: #ff8a80; --token: #252a31; --control: #b9b0ff; } }
@media (min-width: 521px) { .tiles { grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); } }
.tiles .bad dd { color: var(--bad); }
.tiles .bad dd::before { content: "(!) "; }
.bars { display: grid; grid-template-columns: auto 1fr; gap: 2px 12px; font-size: .85rem; font-variant-numeric: tabular-nums; }
.bars .range { color: var(--soft); text-align: right; white-space: nowrap; }
.bars .bar { display: flex; align-items: center; gap: 8px; min-width: 0; }
.bars .bar i { display: block; flex: none; height: 12px; min-width: 1px; border-radius: 2px; background: var(--main); }
.bars .bar i.zero { visibility: hidden; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr)); gap: 16px; }
.pair h3 { margin: 0 0 2px; font-size: .95rem; }
.pair .note { margin: 0 0 10px; }
.wide { overflow-x: auto; }
.wide th:last-child, .wide td:last-child { padding-right: 0; }
.wide th.number:first-child { width: 1%; }
@media (max-width: 520px) { .wide th, .wide td { padding-right: 9px; font-size: .85rem; } }
.legend-tokens { display: flex; flex-wrap: wrap; gap: 6px 16px; align-items: center; }
.row { margin-bottom: 16px; scroll-margin-top: 12px; }
.row h3 { margin: 0 0 8px; font-size: .9rem; font-weight: 600; overflow-wrap: anywhere; }
.row h3 .note { font-weight: 400; }
.tokens { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.75;
  font-family: ui-monospace, "DejaVu Sans Mono", Consolas, monospace; font-size: .84rem; }
.tokens b, .legend-tokens b { font-weight: inherit; padding: 1px 0; border-radius: 2px; }
.tokens b:nth-of-type(even) { background: var(--token); }
.scored b, b.scored { background: var(--scored); border-bottom: 2px solid var(--scored-line); }
.scored b:nth-of-type(even) { background: var(--scored-2); }
.cut b, b.cut { background: var(--cut); text-decoration: line-through; text-decoration-color: var(--cut-line); }
.cut b:nth-of-type(even) { background: var(--cut-2); }
.tokens .sign { color: var(--control); font-weight: 600; }
.tokens .sign::before { content: "⟨"; } .tokens .sign::after { content: "⟩"; }
.tokens .control { color: var(--control); font-weight: 600; }
.tokens .end { color: var(--soft); }
@media print { .tokens b { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
`
