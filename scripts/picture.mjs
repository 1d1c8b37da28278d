// Draws the picture of the README from a real run, for light and for dark pages:
//   node scripts/picture.mjs RUN WRITTEN BASE ID
// RUN is an output folder of `train`; WRITTEN and BASE are what `generate` wrote with its adapter, and with its base model,
// for the same held-out texts; ID names the row that is shown.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { scaleLinear } from 'd3-scale'
import { line } from 'd3-shape'
import { root } from './console.mjs'
import { wrap } from './table.mjs'

const width = 880
const height = 372
const plot = { left: 44, top: 62, right: 372, bottom: 328 }
/** Of texts: in the widest of the fonts 58 characters fit, 52 bold ones. What models write is cut after `lines`. */
const column = { left: 424, top: 46, characters: 58, lines: 3, lineHeight: 19 }

/** Colours of the report's page. */
const themes = {
  light: {
    page: '#ffffff',
    text: '#1d2126',
    soft: '#5b636d',
    line: '#dcdfe3',
    raw: '#a9c3e6',
    main: '#1f5fbf',
    second: '#c2570c',
  },
  dark: {
    page: '#0d1117',
    text: '#e6e8eb',
    soft: '#a0a8b2',
    line: '#333941',
    raw: '#3d5f8f',
    main: '#7db0ff',
    second: '#ffae66',
  },
}

/** @param run folder of a run  @returns its steps, validations and size */
async function readRun(run) {
  const { readReport } = await import('../dist/train/report.js')
  const { steps, validations } = await readReport(run)
  const { rows, model } = JSON.parse(readFileSync(join(run, 'bt_native.json'), 'utf8'))
  return { steps, validations: validations.filter(({ validationLoss }) => validationLoss !== null), rows, model }
}

/** The row `id` of a file that generate wrote. */
function rowOf(file, id) {
  const rows = readFileSync(file, 'utf8').split('\n').filter(Boolean)
  const row = rows.map((text) => JSON.parse(text)).find((one) => one.id === id)
  if (!row) throw new Error(`${file} has no row ${id}`)
  return row
}

const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
const round = (value) => Number(value.toFixed(1))

/** `halo` keeps what lies below off the letters. */
function text(x, y, words, { size = 13, colour, weight, anchor, halo } = {}) {
  const more = [
    weight && ` font-weight="${weight}"`,
    anchor && ` text-anchor="${anchor}"`,
    halo && ` stroke="${halo}" stroke-width="4" paint-order="stroke" stroke-linejoin="round"`,
  ]
    .filter(Boolean)
    .join('')
  return `<text x="${round(x)}" y="${round(y)}" font-size="${size}" fill="${colour}"${more}>${escaped(words)}</text>`
}

/** Loss over steps: of each step, smoothed, and of the validations with their values. */
function curve({ steps, validations }, theme) {
  const last = steps.at(-1).step
  const x = scaleLinear([0, last], [plot.left, plot.right])
  const values = [...steps.map(({ smoothedLoss }) => smoothedLoss), ...validations.map((one) => one.validationLoss)]
  const y = scaleLinear([Math.min(...values) - 0.2, Math.max(...values)], [plot.bottom, plot.top])
    .nice(4)
    .clamp(true)
  const path = (of) =>
    line(
      (step) => x(step.step),
      (step) => y(of(step)),
    ).digits(1)(steps)
  const grid = y
    .ticks(4)
    .flatMap((tick) => [
      `<path d="M${plot.left} ${round(y(tick))}H${plot.right}" stroke="${theme.line}"/>`,
      text(plot.left - 8, y(tick) + 4, tick.toFixed(1), { size: 12, colour: theme.soft, anchor: 'end' }),
    ])
  const dots = validations.flatMap(({ step, validationLoss: loss }) => {
    const before = step === 0
    const words = `${before ? 'base model' : 'held-out rows'} ${loss.toFixed(2)}`
    const [at, above, anchor] = before ? [x(step) + 14, 14, 'start'] : [x(step), 12, 'end']
    return [
      `<circle cx="${round(x(step))}" cy="${round(y(loss))}" r="5" fill="${theme.second}"/>`,
      text(at, y(loss) - above, words, { colour: theme.second, weight: 600, anchor, halo: theme.page }),
    ]
  })
  const end = steps.at(-1).smoothedLoss
  const training = { colour: theme.main, weight: 600, anchor: 'end', halo: theme.page }
  return [
    ...grid,
    text(plot.right, plot.bottom + 22, `step ${last}`, { size: 12, colour: theme.soft, anchor: 'end' }),
    `<path d="${path((step) => step.loss)}" fill="none" stroke="${theme.raw}" stroke-opacity="0.6"/>`,
    `<path d="${path((step) => step.smoothedLoss)}" fill="none" stroke="${theme.main}" stroke-width="2.2" stroke-linejoin="round"/>`,
    ...dots,
    text(plot.right, y(end) + 22, `training ${end.toFixed(2)}`, training),
  ]
}

/** At most `most` lines; the last ends with an ellipsis where some are left out. */
function firstLines(lines, most = lines.length) {
  if (lines.length <= most) return lines
  return [...lines.slice(0, most - 1), `${lines[most - 1].slice(0, column.characters - 2)} …`]
}

/** Titles and texts, one below the other. */
function texts(parts, theme) {
  let y = column.top
  return parts.flatMap(({ title, words, colour, weight, most }) => {
    const lines = firstLines(wrap(words.replace(/\s+/g, ' '), column.characters - (weight ? 6 : 0)), most)
    const drawn = [text(column.left, y, title, { size: 12, colour: theme.soft })]
    for (const [at, one] of lines.entries()) {
      drawn.push(text(column.left, y + (at + 1) * column.lineHeight, one, { size: 14, colour, weight }))
    }
    y += lines.length * column.lineHeight + 28
    return drawn
  })
}

function draw(run, written, base, theme) {
  const parts = [
    { title: 'a held-out text', words: written.response, colour: theme.text },
    { title: 'what the base model writes', words: base.instruction, colour: theme.soft, most: column.lines },
    {
      title: 'what the adapter writes',
      words: written.instruction,
      colour: theme.main,
      weight: 600,
      most: column.lines,
    },
    { title: 'what was really asked', words: written.reference, colour: theme.text },
  ]
  const heading = `${run.rows.train.toLocaleString('en-US')} pairs, one pass, ${run.model.name}`
  const body = [
    text(0, 20, 'loss of the instruction, nats a token', { size: 14, colour: theme.text, weight: 600 }),
    text(0, 40, heading, { size: 12, colour: theme.soft }),
    text(column.left, 20, 'from a text to the instruction that it answers', {
      size: 14,
      colour: theme.text,
      weight: 600,
    }),
    ...curve(run, theme),
    ...texts(parts, theme),
  ]
  const font = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'DejaVu Sans', sans-serif"
  const words = `Loss over ${run.steps.length} steps; given "${written.response}", the adapter writes "${written.instruction}"`
  const label = escaped(words.replace(/\s+/g, ' ')).replaceAll('"', '&quot;')
  const open = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}" font-family="${font}">`
  return `${open}\n${body.join('\n')}\n</svg>\n`
}

const [runFolder, writtenFile, baseFile, id] = process.argv.slice(2)
if (!id) throw new Error('node scripts/picture.mjs RUN WRITTEN BASE ID')
const run = await readRun(runFolder)
for (const [name, theme] of Object.entries(themes)) {
  const file = join(root, 'docs', 'images', `run-${name}.svg`)
  writeFileSync(file, draw(run, rowOf(writtenFile, id), rowOf(baseFile, id), theme))
  process.stdout.write(`${file}\n`)
}
