// What the page of a run adds to the style of a training report.

export const runStyle = `
:root { --third: #197a4a; --fourth: #7d3c98; --fifth: #7a5d00; --sixth: #00727e; --soft-line: #b9bfc7; }
@media (prefers-color-scheme: dark) { :root { --third: #6fd39c; --fourth: #d9a1ea; --fifth: #e5c44a; --sixth: #5cc9d6;
  --soft-line: #57606b; } }
.third { --colour: var(--third); } .fourth { --colour: var(--fourth); } .fifth { --colour: var(--fifth); }
.sixth { --colour: var(--sixth); }
svg .second.line { stroke-dasharray: 9 5; } svg .third.line { stroke-dasharray: 2 5; } svg .fourth.line { stroke-dasharray: 12 4 2 4; }
svg .fifth.line { stroke-dasharray: 5 3; } svg .sixth.line { stroke-dasharray: 16 4; }
.key.second.line::before { border-top-style: dashed; } .key.third.line::before { border-top-style: dotted; }
h3 { font-size: 1rem; margin: 22px 0 8px; } h4 { font-size: .92rem; margin: 0 0 8px; }
.card + .note { margin-top: 12px; }
main > .card > p:first-child { margin-top: 0; }
caption { text-align: left; color: var(--soft); font-size: .85rem; padding-bottom: 4px; }
summary { cursor: pointer; }
.label { color: var(--soft); font-size: .8rem; margin: 10px 0 2px; } .label:first-child { margin-top: 0; }

.flow { padding: 16px; }
.flow svg { display: block; max-width: 100%; height: auto; margin: 0 auto; }
.flow svg.column { display: none; }
.flow text { fill: var(--text); font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
  font-variant-numeric: tabular-nums; }
.flow text.name { font-size: 13.5px; font-weight: 600; } .flow text.soft { fill: var(--soft); } .flow text.end { text-anchor: end; }
.flow text.foot { font-weight: 600; }
.flow .box > rect { fill: var(--page); stroke: var(--colour); stroke-width: 1.5; }
.flow .done { --colour: var(--third); } .flow .running { --colour: var(--main); }
.flow .failed { --colour: var(--bad); } .flow .waiting { --colour: var(--soft-line); }
.flow .box.waiting > rect { stroke-dasharray: 5 4; }
.flow .failed text.foot { fill: var(--bad); }
.flow circle.full { fill: var(--colour); } .flow circle.ring { fill: none; stroke: var(--colour); stroke-width: 1.6; }
.flow path.on { stroke: var(--page); stroke-width: 1.8; }
.flow path.part { fill: var(--colour); stroke: none; }
.flow .lines path { stroke: var(--raw); stroke-linecap: butt; vector-effect: none; }
.flow .lines .head { fill: var(--raw); stroke: none; }
.flow .lines .model path:first-child { stroke: var(--soft-line); stroke-dasharray: 4 4; } .flow .lines .model .head { fill: var(--soft-line); }
.flow .lines text { text-anchor: middle; font-size: 11px; stroke: var(--card); stroke-width: 3.5px; paint-order: stroke;
  stroke-linejoin: round; }

.wide { overflow-x: auto; margin-top: 12px; }
.wide th:last-child, .wide td:last-child { padding-right: 0; }
tr:last-child > th[scope=row] { border-bottom: 0; }
.wide tr > th[scope=row] { color: var(--text); white-space: nowrap; max-width: 240px; overflow: hidden; text-overflow: ellipsis; }
.stages tr.failed td { color: var(--bad); } .stages tr.waiting th[scope=row], .stages tr.waiting td { color: var(--soft); }
.stages .status { white-space: nowrap; } .stages .came { min-width: 200px; overflow-wrap: anywhere; }
.dropped .bar { width: 28%; min-width: 60px; vertical-align: middle; }
.dropped .bar i { display: block; height: 10px; min-width: 2px; border-radius: 2px; background: var(--raw); }
.dropped td:nth-child(2) { overflow-wrap: anywhere; }
.dropped tr:has(+ .same) > * { border-bottom-color: transparent; }
.calibration .group { border-left: 1px solid var(--grid); } .calibration .note { font-size: .78rem; }
.calibration th.group[colspan] { text-align: center; }
.calibration { font-size: .88rem; } .calibration td, .calibration th { padding-right: 9px; } .calibration .group { padding-left: 9px; }

.forests { display: grid; gap: 16px; }
.forest { font-size: .9rem; table-layout: fixed; }
.forest th[scope=row] { color: var(--text); font-weight: 600; width: 24%; overflow-wrap: anywhere; vertical-align: middle; }
.forest th[scope=row], .forest td { border: 0; }
.forest td { vertical-align: middle; line-height: 1.3; } .forest td.number { width: 11em; } .forest .verdict { width: 20%; padding-right: 0; }
.forest .track { position: relative; padding: 0 14px 0 0; height: 44px; }
.forest .track svg { position: absolute; top: 0; left: 0; width: calc(100% - 14px); height: 100%; overflow: visible; }
.forest tr { --colour: var(--main); } .forest tr.control { --colour: var(--soft); } .forest tr.better { --colour: var(--third); }
.forest tr.worse { --colour: var(--bad); } .forest tr.unclear { --colour: var(--soft); }
.forest .whisker { stroke-width: 2.5px; } .forest .point { stroke-width: 11px; }
.forest .control .point, .forest .unclear .point { stroke-linecap: square; stroke-width: 9px; }
.forest .tick { stroke: var(--grid); stroke-width: 1px; stroke-linecap: butt; }
.forest .zero { stroke: var(--text); stroke-width: 1.2px; stroke-dasharray: 3 3; }
.forest .better .verdict { color: var(--third); font-weight: 600; } .forest .worse .verdict { color: var(--bad); font-weight: 600; }
.forest .verdict { color: var(--soft); font-size: .85rem; } .forest .verdict .note { font-weight: 400; }
.forest .axis td { border: 0; height: 20px; } .forest .axis .track { height: 20px; }
.forest .axis .x-labels { font-size: .78rem; color: var(--soft); font-variant-numeric: tabular-nums; margin: 0; height: 16px; }
.forest-plot .part { margin: 14px 0 0; font-weight: 600; } .forest-plot .part .unit { font-weight: 400; }
.forest-plot { padding-bottom: 12px; }

.histograms { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 250px), 1fr)); gap: 16px; align-items: start; }
.histogram svg { display: block; width: 100%; height: 64px; border-bottom: 1px solid var(--line); }
.histogram .before { fill: var(--raw); } .histogram .after { fill: var(--main); }
.histogram .round { margin: 8px 0 4px; font-size: .82rem; } .histogram .round span { color: var(--soft); }
.histogram .x-labels { height: 1.5em; font-size: .78rem; color: var(--soft); font-variant-numeric: tabular-nums; }
.histogram .x-labels .end { transform: translateX(-100%); } .histogram .x-labels .start { transform: none; }
.histogram details { font-size: .82rem; color: var(--soft); margin-top: 4px; } .histogram details td { padding: 1px 10px 1px 0; }
.key.before::before, .key.after::before { width: 11px; height: 11px; border: 0; border-radius: 2px; vertical-align: -1px; }
.key.before::before { background: var(--raw); } .key.after::before { background: var(--main); }
.numbers { margin-top: 10px; }

.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr)); gap: 8px 20px; align-items: start; }
.sides > div { min-width: 0; }
.row-card { margin-bottom: 12px; } .row-card .text { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.row-card .label + .text { max-width: 80ch; }
.row-card summary .head { overflow-wrap: anywhere; unicode-bidi: isolate; } .row-card details[open] summary .head { display: none; }
.row-card details .text { margin-top: 4px; }
.scores { display: flex; flex-wrap: wrap; gap: 4px 6px; list-style: none; margin: 10px 0 6px; padding: 0; font-size: .82rem;
  font-variant-numeric: tabular-nums; }
.scores li { border: 1px solid var(--line); border-radius: 99px; padding: 0 9px; } .scores span { color: var(--soft); }
.why { margin: 0; font-size: .88rem; overflow-wrap: anywhere; } .why code { color: var(--soft); margin-left: 4px; }
.why.kept b, h4.kept { color: var(--third); } .why.dropped b, h4.dropped { color: var(--bad); }
.row-card:has(> .why.kept) { border-left: 4px solid var(--third); } .row-card:has(> .why.dropped) { border-left: 4px solid var(--bad); }

.settings .options { columns: auto; } .settings .value { overflow-wrap: anywhere; border-bottom: 1px solid var(--grid); padding-bottom: 4px; }
.facts h3 { overflow-wrap: anywhere; }
@media (max-width: 760px) {
  .flow { padding: 10px 8px; } .flow svg.layers { display: none; } .flow svg.column { display: block; }
  .forest, .forest tbody { display: block; table-layout: auto; } .forest tr { display: grid; grid-template-columns: 1fr auto; gap: 0 12px; padding: 6px 0;
    border-bottom: 1px solid var(--grid); align-items: center; }
  .forest th[scope=row], .forest td { border: 0; padding: 0; width: auto !important; } .forest td.number { text-align: right; }
  .forest .track { grid-column: 1 / -1; grid-row: 2; height: 30px; padding: 0 !important; } .forest .track svg { left: 6px; width: calc(100% - 12px); }
  .forest .axis .x-labels { margin: 0 6px; }
  .forest .verdict { grid-column: 1 / -1; } .forest .verdict br { display: none; } .forest tr.axis { border: 0; padding: 0; } .forest .axis td:not(.track) { display: none; }
  .forest .axis .track { grid-row: 1; } }
@media (max-width: 520px) { .wide th, .wide td { padding-right: 10px; font-size: .85rem; }
  .dropped .bar { display: none; } .dropped td:nth-child(2) { overflow-wrap: break-word; }
  .stages, .stages tbody { display: block; } .stages tr { display: grid; grid-template-columns: minmax(0, 1fr) repeat(3, auto); column-gap: 10px;
    padding: 4px 0;
    border-bottom: 1px solid var(--grid); } .stages tr:last-child { border: 0; }
  .stages th, .stages td { border: 0; padding: 1px 0; } .stages .came { grid-column: 1 / -1; grid-row: 2; min-width: 0; color: var(--soft); }
  .stages .status, .stages th.came { display: none; } .stages td.number { min-width: 3.6em; }
  .stages th.number { min-width: 3.6em; } .stages .came:has(bdi:empty) { display: none; }
  .stages tr:not(.done) .came::before { content: attr(data-status) " · "; } }
@media print { :root { color-scheme: light; } .flow svg.layers { display: block; } .flow svg.column { display: none; }
  .row-card, .histogram, .forest tr { break-inside: avoid; } h2, h3, h4 { break-after: avoid; } .wide { overflow: visible; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
`
