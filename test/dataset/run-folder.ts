// A small run of the loop as its stages leave it on disk, written by hand: two seed rows and one that was held back, three
// segments with their pairs, two curations, a rewriting, two mixes.
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { sha256 } from '../../src/files.js'
import { folderWith, jsonl } from '../data/fixture.js'

const rivers = 'Intro.\nRivers carry water from the hills to the sea, and stones with it.'
const page = '<h2>Bread</h2><p>Bread rises when <b>yeast</b> eats sugar. It is then baked.</p>'

/** @returns the folder, and `add` to write more into it */
export async function runFolder(): Promise<{ folder: string; add(files: Record<string, string>): Promise<void> }> {
  const folder = await folderWith()
  const add = async (files: Record<string, string>) => {
    for (const [name, content] of Object.entries(files)) {
      await mkdir(dirname(join(folder, name)), { recursive: true })
      await writeFile(join(folder, name), content)
    }
  }
  await add(stages(join(folder, 'pages.jsonl')))
  return { folder, add }
}

function stages(pages: string): Record<string, string> {
  const seed = [
    {
      id: '0000000000000001',
      instruction: 'What is a river?',
      response: 'Water that flows.',
      source: 'oasst1',
      license: 'Apache-2.0',
    },
    {
      id: '0000000000000002',
      instruction: 'Name a bread.',
      response: 'Rye bread.',
      source: 'oasst1',
      license: 'Apache-2.0',
    },
  ]
  const held = [{ id: '0000000000000003', instruction: 'Held?', response: 'Held back.', source: 'oasst1' }]
  const segments = [
    segment('3b1f000000000001', rivers.slice(7), `${pages}:1`, rivers, [7, rivers.length], {
      url: 'https://a.example/rivers',
      license: 'CC-BY-4.0',
    }),
    segment(
      '3b1f000000000002',
      'Bread rises when yeast eats sugar. It is then baked.',
      `${pages}:2`,
      page,
      [14, page.length],
      {},
    ),
    segment('77aa000000000003', 'A text whose file is gone.', 'gone.jsonl:1', 'gone', [0, 4], {}),
  ]
  const pair = (at: number, instruction: string, more: object = {}) => ({
    id: segments[at]!.id,
    instruction,
    response: segments[at]!.text,
    finish: 'stop',
    tokens: 5,
    logProb: -1.25,
    ...more,
  })
  const pairs = [
    pair(0, 'What do rivers do?'),
    pair(1, 'How does bread rise?', { attempt: 2, guard: ['loop'] }),
    pair(2, 'Say.'),
  ]
  const scores = (quality: number[], more: object = {}) =>
    pairs.map((one, at) => ({
      ...one,
      quality: quality[at],
      pmi: 0.5 + at,
      backwardPmi: 0.25,
      length: one.response.length,
      copy: 0,
      kept: quality[at]! >= 4,
      why: quality[at]! >= 4 ? `quality ${quality[at]} is at least 4` : `quality ${quality[at]} is under 4`,
      ...more,
    }))
  const meta = (fingerprint: object) => JSON.stringify({ version: '0', fingerprint, finished: true })
  return {
    'pages.jsonl': jsonl([{ text: rivers }, { html: page, text: page }]),
    'seed/seed.jsonl': jsonl(seed),
    'seed/held-out.jsonl': jsonl(held),
    'corpus/segments.jsonl': jsonl(segments),
    'augment/pairs.jsonl': jsonl(pairs),
    'augment/pairs.jsonl.meta.json': meta({
      model: 'basemodel',
      adapter: 'backwardhash',
      template: '180f456627e5',
      column: null,
      temperature: 0.7,
      topP: 0.9,
      seed: 3,
    }),
    'curate-1/curated.jsonl': jsonl(pairs.slice(0, 2)),
    'curate-1/curated.scored.jsonl': jsonl(scores([4.5, 4, 1.5])),
    'curate-1/curated.jsonl.meta.json': meta({ model: 'basemodel', adapter: 'm0hash' }),
    'curate-2/curated.scored.jsonl': jsonl(scores([4.25, 2, 1])),
    'rewrite-1/rewritten.jsonl': jsonl([{ ...pairs[0], response: 'Rivers carry water and stones to the sea.' }]),
    'mix-1/rows.jsonl': jsonl([...seed, ...pairs.slice(0, 2)]),
    'mix-2/rows.jsonl': jsonl([...seed, pairs[0]!]),
  }
}

function segment(id: string, text: string, place: string, content: string, span: [number, number], more: object) {
  const document = sha256(content).slice(0, 16)
  return {
    id,
    text,
    heading: null,
    title: null,
    source: 'web',
    url: null,
    language: 'en',
    license: null,
    document,
    place,
    span,
    characters: text.length,
    ...more,
  }
}
