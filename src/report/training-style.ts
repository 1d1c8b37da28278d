// The style of a training report: light and dark by the reader's system, one column on narrow screens. Colours are told
// apart by lightness too.

export const trainingStyle = `
:root { color-scheme: light dark; --page: #fbfbfa; --card: #fff; --text: #1d2126; --soft: #5b636d; --line: #dcdfe3;
  --grid: #e9ebee; --raw: #a9c3e6; --main: #1f5fbf; --second: #c2570c; --bad: #b3261e; --mark: #fff3d6; }
@media (prefers-color-scheme: dark) { :root { --page: #14171a; --card: #1b1f24; --text: #e6e8eb; --soft: #a0a8b2;
  --line: #333941; --grid: #2a2f36; --raw: #3d5f8f; --main: #7db0ff; --second: #ffae66; --bad: #ff8a80; --mark: #3a3220; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, -apple-system, "Segoe UI",
  Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
main { max-width: 1100px; margin: 0 auto; padding: 24px 20px 48px; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 32px 0 12px; }
.subtitle { color: var(--soft); margin: 4px 0 0; overflow-wrap: anywhere; }
.state { display: inline-block; margin-left: 8px; padding: 1px 10px; border: 1px solid var(--line); border-radius: 99px;
  font-size: .8rem; font-weight: 600; vertical-align: middle; white-space: nowrap; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(185px, 1fr)); gap: 12px; margin: 20px 0; padding: 0; }
.tiles div, .card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; }
.tiles dt { color: var(--soft); font-size: .82rem; }
.tiles dd { margin: 2px 0 0; font-size: 1.1rem; font-weight: 600; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); gap: 16px; margin-top: 16px; }
.chart { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px 8px; margin: 0; }
.chart .unit { color: var(--soft); font-size: .85rem; }
.legend { display: inline-flex; flex-wrap: wrap; gap: 2px 14px; font-size: .85rem; margin-left: 8px; }
.key::before { content: ""; display: inline-block; width: 16px; margin-right: 5px; vertical-align: middle;
  border-top: 3px solid var(--colour); }
.key.faint::before { border-top-width: 2px; opacity: .9; }
.key.dots::before { width: 9px; height: 9px; border: 0; border-radius: 50%; background: var(--colour); }
.plot { display: grid; grid-template-columns: 3.4em 1fr; grid-template-rows: 150px 1.5em auto; margin-top: 22px;
  font-size: .8rem; font-variant-numeric: tabular-nums; color: var(--soft); }
.big .plot { grid-template-rows: clamp(220px, 34vw, 340px) 1.5em auto; }
.y-labels { position: relative; }
.y-labels span { position: absolute; right: 8px; transform: translateY(-50%); white-space: nowrap; }
.area { position: relative; min-width: 0; border-left: 1px solid var(--line); border-bottom: 1px solid var(--line); }
.area svg { position: absolute; inset: 0; width: 100%; height: 100%; overflow: visible; }
.area .dividers span { position: absolute; top: -18px; transform: translateX(-50%); white-space: nowrap; font-size: .75rem; }
.area .dividers .end { transform: translateX(-100%); }
.charts .dividers span { display: none; }
.x-labels { position: relative; grid-column: 2; margin-top: 3px; }
.x-labels span { position: absolute; transform: translateX(-50%); }
.x-title { grid-column: 2; text-align: center; }
svg path { fill: none; stroke: var(--colour); vector-effect: non-scaling-stroke; stroke-linejoin: round; stroke-linecap: round; }
svg .line { stroke-width: 2.2px; }
svg .faint { stroke-width: 1px; }
svg .dots path { stroke-width: 8px; }
.grid path { stroke: var(--grid); stroke-width: 1px; }
svg .dividers path { stroke: var(--line); stroke-width: 1px; stroke-dasharray: 3 4; }
.raw { --colour: var(--raw); } .main { --colour: var(--main); } .second { --colour: var(--second); } .bad { --colour: var(--bad); }
.skip { --colour: var(--soft); }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 5px 14px 5px 0; border-bottom: 1px solid var(--grid); vertical-align: top; }
th { font-weight: 600; color: var(--soft); font-size: .85rem; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr:last-child > td { border-bottom: 0; }
tr.spike > td { border-bottom: 0; padding-bottom: 0; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); gap: 16px; align-items: start; }
.facts h3 { margin: 0 0 6px; font-size: .95rem; }
.facts td { overflow-wrap: anywhere; font-size: .9rem; }
.facts td:first-child { color: var(--soft); width: 38%; overflow-wrap: normal; }
.marked { background: var(--mark); border-radius: 3px; padding: 0 4px; margin: 0 -4px; }
.options { columns: 300px; column-gap: 28px; margin: 0; padding: 0; }
.options div { display: flex; justify-content: space-between; gap: 12px; break-inside: avoid; padding: 3px 0;
  border-bottom: 1px solid var(--grid); font-size: .9rem; }
.options dt { color: var(--soft); } .options dd { margin: 0; text-align: right; overflow-wrap: anywhere; min-width: 0; }
.sample { margin-bottom: 16px; }
.sample p { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.sample details { color: var(--soft); margin-bottom: 8px; }
.sample summary { cursor: pointer; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.sample details[open] summary { white-space: normal; }
.sample td:first-child { color: var(--soft); white-space: nowrap; width: 1%; }
.true td { font-weight: 600; }
.note { color: var(--soft); font-size: .88rem; }
code, pre { font-family: ui-monospace, "DejaVu Sans Mono", Consolas, monospace; font-size: .85rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; }
footer { margin-top: 40px; color: var(--soft); font-size: .85rem; }
@media (max-width: 520px) { main { padding: 16px 12px 32px; } .tiles { grid-template-columns: 1fr 1fr; }
  .legend { display: flex; margin: 2px 0 0; } .sample td { display: block; border: 0; padding: 0 0 2px; width: auto; }
  .sample tr { display: block; padding: 6px 0; border-bottom: 1px solid var(--grid); } .sample tr:last-child { border: 0; } }
@media print { body { background: #fff; } .card, .chart { break-inside: avoid; } }
`
