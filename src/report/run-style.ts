// What the page of a run adds to the style of a training report.

export const runStyle = `
:root { --third: #1b7f4d; --fourth: #8a3fa0; --fifth: #8a6d00; --sixth: #007c89; }
@media (prefers-color-scheme: dark) { :root { --third: #6fd39c; --fourth: #d9a1ea; --fifth: #e5c44a; --sixth: #5cc9d6; } }
.third { --colour: var(--third); } .fourth { --colour: var(--fourth); } .fifth { --colour: var(--fifth); } .sixth { --colour: var(--sixth); }
.card.wide, .card.flow { overflow-x: auto; margin-top: 12px; }
.card table { border-collapse: collapse; width: 100%; }
.card.wide td, .card.wide th { padding: 4px 10px 4px 0; text-align: left; vertical-align: top; }
.card.wide .number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.card.wide caption { text-align: left; color: var(--soft); padding-bottom: 6px; }
.card.wide tr.failed td { color: var(--bad); } .card.wide tr.waiting td { color: var(--soft); }
.flow svg { display: block; min-width: 720px; width: 100%; height: auto; }
.flow text { fill: var(--text); font: 12px system-ui, "DejaVu Sans", sans-serif; }
.flow text.soft { fill: var(--soft); font-size: 10.5px; }
.flow rect { fill: var(--page); stroke: var(--main); stroke-width: 1.5; }
.flow .waiting rect { stroke: var(--line); stroke-dasharray: 4 3; } .flow .failed rect { stroke: var(--bad); stroke-width: 2.5; }
.flow .running rect { stroke: var(--second); }
.flow path { fill: none; stroke: var(--soft); opacity: .55; }
.forest { width: 100%; border-collapse: collapse; margin-top: 8px; font-size: .9rem; }
.forest th { text-align: left; font-weight: 400; padding: 5px 8px 5px 0; }
.forest .number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.forest .track { width: 40%; } .forest .track div { position: relative; height: 18px; }
.forest i { position: absolute; display: block; }
.forest .whisker { top: 8px; height: 2px; background: var(--main); }
.forest .point { top: 4px; width: 10px; height: 10px; margin-left: -5px; border-radius: 50%; background: var(--main); }
.forest .zero { top: 0; bottom: 0; width: 0; border-left: 1px dashed var(--soft); }
.histograms { display: grid; grid-template-columns: repeat(auto-fit, minmax(210px, 1fr)); gap: 12px; }
.histogram svg { display: block; width: 100%; height: 90px; }
.histogram .all { fill: var(--raw); } .histogram .kept { fill: var(--main); }
.histogram .ends { display: flex; justify-content: space-between; color: var(--soft); font-size: .82rem; }
.sample { margin-top: 10px; } .sample p { margin: 4px 0; overflow-wrap: anywhere; white-space: pre-wrap; }
.sample.left-out { border-left: 4px solid var(--second); } .sample.kept { border-left: 4px solid var(--third); }
@media print { .flow svg { min-width: 0; } details > * { display: block; } }
`
