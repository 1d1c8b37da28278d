// Every example runs as it stands, here on a tiny model.
import { spawnSync } from 'node:child_process'
import { mkdtemp, readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { packageRoot } from '../src/paths.js'
import { tinyPairs, writeRows, writeTinyModel } from './train/tiny-model.js'

let folder: string
let model: string
let data: string
let texts: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-examples-'))
  model = await writeTinyModel(join(folder, 'model'))
  data = await writeRows(join(folder, 'rows.jsonl'), tinyPairs(80))
  texts = await writeRows(join(folder, 'texts.jsonl'), tinyPairs(4))
})

function run(name: string, ...args: string[]): string {
  const child = spawnSync(process.execPath, [join('examples', name), ...args], { cwd: packageRoot, encoding: 'utf8' })
  expect(child.stderr).not.toMatch(/Error|\bat .*:\d+:\d+/)
  expect(child.status).toBe(0)
  return child.stdout
}

/** In the order in which they need each other. */
const examples: Record<string, () => void> = {
  'audit-data.mjs': () => {
    expect(run('audit-data.mjs', data, join(folder, 'audit.html'), model)).toMatch(/\d+ rows, \d+ tokens, .* scored/)
  },
  'plan.mjs': () => {
    expect(run('plan.mjs', '2', data, model)).toMatch(/^total +\d+ MB$[\s\S]*fits into 2 GB: {"batchSize":16/m)
  },
  'watch-training.mjs': () => {
    expect(run('watch-training.mjs', data, join(folder, 'watched'), model)).toMatch(
      /^step 1 {2}loss [\s\S]*^validation after step 5: [\s\S]*wrote "[\s\S]*5 steps in .*report\.html$/m,
    )
  },
  'best-adapter.mjs': () => {
    const said = run('best-adapter.mjs', data, join(folder, 'best'), model)
    expect(said).toMatch(/step 4: validation \d\.\d+, best so far[\s\S]*: the adapter after step \d+, /)
  },
  'resume-training.mjs': () => {
    const said = run('resume-training.mjs', data, join(folder, 'resumed'), model)
    expect(said).toMatch(/step 3 .*\nstopped; saved in .*\ngoing on after step 3 of 5\nstep 4 .*\nstep 5 .*\ndone: /)
  },
  'conversations.mjs': () => {
    const said = run('conversations.mjs', join('examples', 'conversations.jsonl'), join(folder, 'turns'), model)
    expect(said).toMatch(/^\d+ rows with \d+ replies to learn[\s\S]* learns: [\s\S]*validation loss \d[\s\S]*adapter: /)
  },
  'segment.mjs': () => {
    const output = join(folder, 'segments.jsonl')
    expect(run('segment.mjs', join('docs', '*.md'), output)).toMatch(
      /^\d+ segments of \d+ documents in .*segments\.jsonl { en: \d+(, null: \d+)? }\nthe longest: ".*" of docs\/[\w-]+\.md, \d+ characters$/m,
    )
    expect(run('segment.mjs', join('docs', '*.md'), output)).toMatch(/is finished already: \d+ segments/)
  },
  'dataset.mjs': () => {
    expect(run('dataset.mjs', join(folder, 'dataset'))).toMatch(
      /^\d+ rows in 4 forms, card .*README\.md\nlineage of { augmented: \d+ }\nrow +[0-9a-f]{16} · augmented[\s\S]*unchanged/,
    )
  },
  'export.mjs': () => {
    const said = run('export.mjs', join(folder, 'watched'), join(folder, 'exports'))
    expect(said.match(/largest logit difference/g)).toHaveLength(2)
  },
  'best-of-n.mjs': () => {
    expect(run('best-of-n.mjs', join(folder, 'watched'), texts)).not.toBe('')
  },
  'guard.mjs': () => {
    expect(run('guard.mjs', join(folder, 'watched'), texts)).not.toBe('')
  },
  'sections.mjs': () => {
    const said = run('sections.mjs', join(folder, 'watched'))
    expect(said).toMatch(
      /^user .*\nassistant .*\nuser [\s\S]*^2 conversations of [4-8] messages, \d+ with a fault left/m,
    )
  },
  'score.mjs': () => {
    expect(run('score.mjs', join(folder, 'watched'), texts)).not.toBe('')
  },
  'compare.mjs': () => {
    const args = [join(folder, 'compared'), `tiny=${model}`, `again=${model}`]
    expect(run('compare.mjs', ...args)).toMatch(
      /^tiny: log p a token -\d[\s\S]*^again against tiny: 0\.000 .*, p 1\.000$[\s\S]*ROUGE-L 0\.000 .*; 0 wins, 10 ties, 0 losses$/m,
    )
    expect(run('compare.mjs', ...args)).toContain('is finished already')
  },
  'curate.mjs': () => {
    const said = run('curate.mjs', model, data, join(folder, 'curated.jsonl'))
    expect(said).toMatch(/^\w+ +AUC \d\.\d\d \(.*\)[\s\S]*^kept 20 of 40 in .*curated\.jsonl\n\+ \d\.\d\d /m)
    expect(said.match(/^[+-] /gm)).toHaveLength(40)
  },
  'shards.mjs': () => {
    expect(run('shards.mjs', join(folder, 'watched'), join(folder, 'pairs.jsonl'), '2')).not.toBe('')
  },
}

test.each(Object.entries(examples))('%s', (_, check) => check())

test('all of them are run here', async () => {
  const names = (await readdir(join(packageRoot, 'examples'))).filter((name) => name.endsWith('.mjs'))
  expect(names.toSorted()).toEqual(Object.keys(examples).toSorted())
})
