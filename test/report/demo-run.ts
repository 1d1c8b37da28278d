// A run of the loop with invented figures: every part that a report can have.
import { histogramOf } from '../../src/report/histogram.js'
import type { RunCuration, RunHistogram, RunLosses, RunReport, RunSample, RunStage } from '../../src/report/run.js'
import type { Point } from '../../src/report/thin.js'

/** Numbers from 0 to 1 that are the same each time. */
export function randomNumbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

/** About normal: mean 0, deviation 1. */
function spread(random: () => number): number {
  return (random() + random() + random() + random() - 2) * Math.sqrt(3)
}

const stages: RunStage[] = [
  {
    ...{
      name: 'seed',
      title: 'clean the seed',
      status: 'done',
      after: [],
      rowsIn: 3492,
      rowsOut: 3142,
      seconds: 2.1,
    },
    ...{ note: '166 rows held out', dropped: drops({ 'response too short': 96, duplicate: 71, 'no instruction': 17 }) },
  },
  {
    ...{ name: 'corpus', title: 'cut the corpus into texts', status: 'done', after: [], rowsIn: 512, rowsOut: 1000 },
    ...{ seconds: 14, note: '1,000 texts of 512 documents' },
    dropped: drops({
      'near duplicate': 212,
      'too short': 1804,
      'not English': 63,
      'junk heading': 41,
      'overlaps held-out rows': 3,
    }),
  },
  {
    ...{ name: 'backward', title: 'train the model that writes instructions', status: 'done', after: ['seed'] },
    ...{ rowsIn: 3142, seconds: 745, note: 'loss 2.061, validation 2.139' },
  },
  {
    ...{ name: 'augment', title: 'write an instruction for each text', status: 'done', after: ['corpus', 'backward'] },
    ...{
      rowsIn: 1000,
      rowsOut: 988,
      seconds: 412,
      note: '31 marked by the guard',
      dropped: drops({ 'text too long': 12 }),
    },
  },
  {
    ...{ name: 'check', title: 'write instructions for held-out responses, and compare', status: 'done', seconds: 64 },
    ...{ after: ['backward', { stage: 'seed', rows: 166 }], rowsIn: 166, rowsOut: 166 },
  },
  {
    ...{ name: 'm0', title: 'train M_0', status: 'done', after: ['seed'], rowsIn: 3142, seconds: 801 },
    note: 'loss 1.702, validation 1.744',
  },
  curateStage(1, 'm0', 412),
  mixStage('m1', 'mix the seed and the kept rows', 'curate-1', 3554),
  { name: 'm1', title: 'train M_1', status: 'done', after: ['mix-m1'], rowsIn: 3554, seconds: 902, note: 'loss 1.641' },
  curateStage(2, 'm1', 387),
  {
    ...{ name: 'rewrite-2', title: 'polish the kept responses', status: 'done', after: ['curate-2', 'm1'] },
    ...{ rowsIn: 387, rowsOut: 387, seconds: 655, note: '142 rewritten, 245 kept as they were' },
  },
  mixStage('m2', 'mix the seed and the kept rows', 'rewrite-2', 3529),
  { name: 'm2', title: 'train M_2', status: 'done', after: ['mix-m2'], rowsIn: 3529, seconds: 894, note: 'loss 1.622' },
  mixStage('control', 'mix the seed and random rows', 'augment', 3529),
  {
    ...{ name: 'control', title: 'train the control on random rows', status: 'done', after: ['mix-control'] },
    ...{ rowsIn: 3529, seconds: 888, note: 'loss 1.690' },
  },
  {
    ...{ name: 'evaluate', title: 'compare the models on held-out pairs', status: 'done', rowsIn: 166, rowsOut: 166 },
    ...{ after: [{ stage: 'seed', rows: 166 }, 'm0', 'm1', 'm2', 'control'], seconds: 97 },
  },
  {
    ...{ name: 'dataset', title: 'write the data set and where each row comes from', status: 'done', rowsIn: 3529 },
    ...{ after: ['mix-m2'], rowsOut: 3529, seconds: 3 },
  },
]

function drops(counts: Record<string, number>) {
  return Object.entries(counts).map(([reason, count]) => ({ reason, count }))
}

function curateStage(iteration: number, judge: string, kept: number): RunStage {
  return {
    name: `curate-${iteration}`,
    title: `rate the pairs with M_${iteration - 1}, keep the best`,
    status: 'done',
    after: ['augment', judge, 'backward'],
    ...{ rowsIn: 988, rowsOut: kept, seconds: 530 + iteration, note: `kept ${kept} of 988` },
    dropped: drops({ 'fit below 0.5': 988 - kept - 31, 'marked by the guard': 31 }),
  }
}

function mixStage(model: string, title: string, from: string, rows: number): RunStage {
  return { name: `mix-${model}`, title, status: 'done', after: ['seed', from], rowsIn: rows, rowsOut: rows, seconds: 1 }
}

function histogram(score: string, seed: number, scale: (normal: number) => number, threshold?: number): RunHistogram {
  const random = randomNumbers(seed)
  const values = Array.from({ length: 957 }, () => scale(spread(random)))
  const cut = threshold ?? scale(0.2)
  const kept = values.map((value) => random() < (value >= cut ? 0.93 : threshold === undefined ? 0.3 : 0))
  return { score, ...histogramOf(values, kept)! }
}

function curation(iteration: number): RunCuration {
  const shift = 0.12 * (iteration - 1)
  const quality = (auc: number, precision: number, recall: number, threshold: number) => ({
    ...{ auc, interval: [auc - 0.031, Math.min(1, auc + 0.024)] as const, precision, recall, threshold },
  })
  return {
    iteration,
    rows: 988,
    kept: iteration === 1 ? 412 : 387,
    histograms: [
      histogram('fit', 7 * iteration, (normal) => 1 / (1 + Math.exp(-1.6 * (normal + shift))), 0.5),
      histogram('quality', 11 * iteration, (normal) => 3.1 + shift + 0.6 * normal),
      histogram('pmi', 13 * iteration, (normal) => 0.32 + shift + 0.21 * normal),
      histogram('ifd', 17 * iteration, (normal) => 0.86 - shift / 3 + 0.08 * normal),
      histogram('ending', 19 * iteration, (normal) => -3.2 + shift + 1.7 * normal),
      histogram('backwardPmi', 23 * iteration, (normal) => 14 + 30 * shift + 9 * normal),
      histogram('length', 29 * iteration, (normal) => Math.exp(6.9 + 0.5 * normal)),
    ],
    calibration: [
      {
        score: 'fit',
        ...quality(0.957 + shift / 12, 0.94, 0.91, 0.52),
        kinds: {
          shuffled: quality(0.991, 0.98, 0.97, 0.48),
          cut: quality(0.902, 0.86, 0.84, 0.6),
          language: quality(0.978, 0.95, 0.96, 0.5),
        },
      },
      {
        score: 'backwardPmi',
        ...quality(0.861, 0.82, 0.79, 6.1),
        kinds: {
          shuffled: quality(0.984, 0.96, 0.95, 4.4),
          cut: quality(0.541, 0.51, 0.93, 0.2),
          language: quality(0.883, 0.83, 0.86, 5.2),
        },
      },
      {
        score: 'quality',
        ...quality(0.612, 0.55, 0.84, 2.7),
        kinds: {
          shuffled: quality(0.655, 0.58, 0.83, 2.8),
          cut: quality(0.587, 0.54, 0.88, 2.6),
          language: quality(0.598, 0.55, 0.86, 2.6),
        },
      },
    ],
    samples: [
      sample(
        '3b1f3e0a9d2c4b56',
        true,
        'How do rivers shape the land they flow through?',
        rivers,
        'fit 0.91 is at least 0.5',
        0.91,
      ),
      sample(
        '9c04d2aa1b7e8f30',
        true,
        'Why should I let bread dough rest before baking?',
        bread,
        'fit 0.77 is at least 0.5',
        0.77,
      ),
      sample(
        '0d77aa61c2b34e19',
        false,
        'Write a poem.',
        'Add to basket. Free delivery on orders over 40.',
        'fit 0.08 is below 0.5',
        0.08,
      ),
      sample(
        '77e1b0c9d8a6f523',
        false,
        'What does this text say about the opening hours, the prices and the way to get there by train?',
        rivers,
        'fit 0.31 is below 0.5',
        0.31,
      ),
    ],
  }
}

const rivers =
  'Rivers carry water from the hills to the sea, and they carry stones too. Where the bed is steep the water is quick, and it ' +
  'takes along whatever is loose; where it is flat, the river slows down and lets its load fall.\n\nOver thousands of years a ' +
  'bend grows wider, because the outer bank is worn away while sand settles at the inner one. In the end the river breaks ' +
  'through the neck of the bend, and a lake in the form of a bow is left behind. Such lakes can be seen beside many slow rivers.'
const bread =
  'Resting lets the flour take up water and the gluten relax, so that the dough is easier to shape and holds its gas.'

function sample(id: string, kept: boolean, instruction: string, response: string, why: string, fit: number): RunSample {
  const scores = {
    fit,
    quality: 2 + 2 * fit,
    pmi: 0.6 * fit - 0.1,
    ending: -4 + 3 * fit,
    backwardPmi: 22 * fit,
    length: response.length,
  }
  return {
    id,
    instruction,
    response,
    kept,
    why,
    scores: Object.entries(scores).map(([name, value]) => ({ name, value })),
  }
}

function losses(model: string, steps: number, from: number, to: number, seed: number): RunLosses {
  const random = randomNumbers(seed)
  const at = (step: number) => to + (from - to) * Math.exp((-4 * step) / steps)
  const training = Array.from({ length: steps }, (_, step): Point => [step + 1, at(step) + 0.004 * spread(random)])
  const validation = [0, 0.33, 0.66, 1].map((share): Point => [Math.round(share * steps), at(share * steps) + 0.05])
  return { model, training, validation }
}

/** A whole run; the same each time. */
export function demoRun(): RunReport {
  return {
    title: 'oasst1-loop',
    subtitle: 'SmolLM2-135M-Instruct · recipe oasst1-loop.yaml · bt-native 0.1.0',
    started: '2026-11-26T07:02:11.000Z',
    summary: [
      { name: 'Rows of the seed', value: '3,142' },
      { name: 'Texts of the corpus', value: '1,000' },
      { name: 'Pairs written', value: '988' },
      { name: 'Kept in the end', value: '387' },
    ],
    stages,
    curations: [curation(1), curation(2)],
    losses: [
      losses('backward', 207, 2.73, 2.08, 3),
      losses('m0', 207, 1.95, 1.71, 5),
      losses('m1', 223, 1.94, 1.65, 7),
      losses('m2', 221, 1.94, 1.63, 9),
      losses('control', 221, 1.95, 1.69, 11),
    ],
    comparisons: [
      {
        title: 'Log-likelihood of held-out responses',
        unit: 'nats a token',
        note: '166 pairs that no model was trained on, 31,204 tokens.',
        systems: [
          { name: 'base model', value: -1.931, interval: [-2.021, -1.846] },
          { name: 'M_0', value: -1.744, interval: [-1.829, -1.664] },
          { name: 'M_1', value: -1.739, interval: [-1.823, -1.66] },
          { name: 'M_2', value: -1.731, interval: [-1.815, -1.652] },
          { name: 'control', value: -1.742, interval: [-1.827, -1.661], control: true },
        ],
        differences: [
          { name: 'M_1', baseline: 'M_0', value: 0.005, interval: [-0.001, 0.011], p: 0.112 },
          { name: 'M_2', baseline: 'M_0', value: 0.013, interval: [0.006, 0.02], p: 0.0004 },
          { name: 'M_2', baseline: 'control', value: 0.011, interval: [0.003, 0.019], p: 0.006 },
          { name: 'M_0', baseline: 'M_2', value: -0.013, interval: [-0.02, -0.006], p: 0.0004 },
        ],
      },
      {
        title: 'Instructions for held-out responses',
        unit: 'ROUGE-L',
        systems: [
          { name: 'backward model', value: 24.31, interval: [21.9, 26.8] },
          { name: 'of another row', value: 9.84, interval: [9.1, 10.6], control: true },
          { name: 'first words of the response', value: 13.2, interval: [11.7, 14.9], control: true },
        ],
      },
    ],
    settings: [
      { name: 'model', value: 'smollm2-135m' },
      { name: 'iterations', value: '2' },
      { name: 'tags.seed', value: 'Answer in the style of an AI assistant.' },
      { name: 'tags.augmented', value: 'Answer with knowledge from the web.' },
      { name: 'corpus.input', value: 'pages/' },
      { name: 'corpus.minCharacters', value: '600' },
      { name: 'corpus.maxCharacters', value: '3,000' },
      { name: 'augment.temperature', value: '0.7', marked: true },
      { name: 'augment.topP', value: '0.9' },
      { name: 'curate.keep', value: 'fit >= 0.5 AND length BETWEEN 200 AND 3000 AND copy < 0.8', marked: true },
      { name: 'curate.calibrate', value: '200' },
    ],
    lineage: { file: 'lineage.parquet', id: '3b1f3e0a9d2c4b56' },
  }
}

/** The same run while its first curation is under way. */
export function runUnderWay(): RunReport {
  const whole = demoRun()
  const at = stages.findIndex(({ name }) => name === 'curate-1')
  return {
    title: whole.title,
    subtitle: whole.subtitle,
    started: whole.started,
    stages: stages.map((stage, index): RunStage => {
      const { name, title, after } = stage
      if (index < at) return stage
      if (index > at) return { name, title, after, status: 'waiting' }
      return { name, title, after, status: 'running', rowsIn: 988, seconds: 164 }
    }),
    losses: whole.losses!.slice(0, 2),
  }
}

const signs = `<script>alert(1)</script></style><img src=http://x/y onerror=alert(1)>"'&`
/** Texts that try to be more than texts: markup, turned directions, signs that nobody sees, a very long one. */
export const hostileTexts = {
  markup: signs,
  turned: '\u202eright to left\u202c \u05e9\u05dc\u05d5\u05dd \u2066x\u2069',
  control: 'a\u0000b\u001b[31mc\u0007\ud800',
  long: `${'word '.repeat(20_000)}${signs}`,
}

/** A run whose every text is one of them. */
export function hostileRun(): RunReport {
  const { markup, turned, control, long } = hostileTexts
  const text = `${markup} ${turned} ${control}`
  const facts = [
    { name: text, value: text },
    { name: `${markup}.x`, value: `${long}\n${text}` },
  ]
  const measured = { name: text, value: Number.NaN, interval: [Number.NaN, 1] as const }
  const one = {
    id: text,
    instruction: text,
    response: long,
    kept: true,
    why: text,
    scores: [{ name: text, value: Number.NaN }],
  }
  return {
    ...{
      title: text,
      subtitle: text,
      started: text,
      summary: facts.slice(0, 1),
      settings: facts,
    },
    stages: [
      { name: text, title: text, status: 'failed', error: long, dropped: [{ reason: text, count: 1 }] },
      { name: 'next', title: long, status: 'waiting', after: [text, 'next', 'not there', text], note: text },
    ],
    curations: [
      {
        ...{ iteration: 1, rows: 0, kept: 0, samples: [one, { ...one, kept: false, response: text }] },
        histograms: [{ score: text, edges: [1, 1], all: [0], kept: [0] }],
        calibration: [
          {
            score: text,
            auc: Number.NaN,
            precision: 0,
            recall: 0,
            kinds: { [text]: { auc: 1, precision: 1, recall: 1 } },
          },
        ],
      },
    ],
    losses: [{ model: text, training: [[1, Number.NaN]], validation: [] }],
    comparisons: [
      { title: text, unit: text, note: text, systems: [measured], differences: [{ ...measured, baseline: text }] },
    ],
    lineage: { file: text, id: text },
  }
}
