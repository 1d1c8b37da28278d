import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { buildLineage } from '../../src/dataset/lineage.js'
import { lineageInputsOf } from '../../src/dataset/run-files.js'
import { trace } from '../../src/dataset/trace.js'
import { renderTrace } from '../../src/dataset/trace-text.js'
import { runCli } from '../cli/run-cli.js'
import { jsonl } from '../data/fixture.js'
import { runFolder } from './run-folder.js'

let folder: string
beforeAll(async () => {
  folder = (await runFolder()).folder
})

const told = async (id: string) => renderTrace(await trace({ id, run: folder }), { width: 200 })

describe('a row is found', () => {
  test('by the beginning of its id, where that is the only one', async () => {
    expect((await trace({ id: '77', run: folder })).rows).toMatchObject([
      { id: '77aa000000000003', origin: 'augmented' },
    ])
  })

  test('not by what several ids begin with, which are listed', async () => {
    await expect(trace({ id: '3b1f', run: folder })).rejects.toMatchObject({
      code: 'BT_ROW_AMBIGUOUS',
      remedy: 'Say more of it: 3b1f000000000001, 3b1f000000000002',
    })
  })

  test('not by a wrong id; near ones are named', async () => {
    await expect(trace({ id: '77ab000000000003', run: folder })).rejects.toMatchObject({
      code: 'BT_ROW_NOT_FOUND',
      remedy: 'Did you mean 77aa000000000003?',
    })
    await expect(trace({ id: '0000000000000301', run: folder })).rejects.toMatchObject({
      remedy: expect.stringContaining('0000000000000001'),
    })
    await expect(trace({ id: "x' OR true --", run: folder })).rejects.toMatchObject({ code: 'BT_ROW_NOT_FOUND' })
  })

  test('in the files of a run that goes on, whatever an older lineage says', async () => {
    const run = await runFolder()
    await buildLineage(await lineageInputsOf(run.folder), join(run.folder, 'lineage.parquet'))
    await run.add({
      'curate-3/curated.scored.jsonl': jsonl([{ id: '77aa000000000003', quality: 5, kept: true, why: 'late' }]),
    })
    const [row] = (await trace({ id: '77aa', run: run.folder })).rows
    expect(row!.iterations.map(({ iteration }) => iteration)).toEqual([1, 2, 3])
  })
})

describe('the story', () => {
  test('shows the text where it stands in its document', async () => {
    const text = await told('3b1f000000000001')
    expect(text).toContain('pages.jsonl:1 · https://a.example/rivers · web · licence CC-BY-4.0')
    expect(text).toMatch(
      /characters 7 to 72 of document [0-9a-f]{16}\n +unchanged, and the text stands there:\n +\| Rivers carry water from the hills/,
    )
    expect(text).toMatch(
      /^rewritten +Rivers carry water and stones to the sea\.\nfrom +Rivers carry water from the hills/m,
    )
  })

  test('says where the document is another, or gone, or marked up', async () => {
    expect(await told('3b1f000000000002')).toContain('unchanged; there, with what was taken out or masked:')
    expect(await told('77')).toContain('no excerpt: gone.jsonl is not there')
    const run = await runFolder()
    await writeFile(
      join(run.folder, 'pages.jsonl'),
      jsonl([{ text: 'Something else, which is long enough to be cut.' }]),
    )
    expect(renderTrace(await trace({ id: '3b1f000000000001', run: run.folder }))).toContain(
      'the document was changed since',
    )
  })

  test('says what wrote the instruction, how it was scored and what it trained', async () => {
    const text = await told('3b1f000000000002')
    expect(text).toMatch(
      /^written +by model basemodel, adapter backwardhash, template 180f456627e5\n +temperature 0\.7, topP 0\.9, seed 3\n +attempt 3 of the guard, faults left: loop, mean log p -1\.25 nats a token$/m,
    )
    expect(text).toMatch(/iteration +quality +pmi +backward_pmi +length +copy +kept/)
    expect(text).toMatch(/^ +1 +4 +1\.5 +0\.25 +52 +0 +yes$/m)
    expect(text).toMatch(
      /^ +1: kept: quality 4 is at least 4 \(scored with m0hash\)\n +2: dropped: quality 2 is under 4$/m,
    )
    expect(text).toMatch(/^trained +m1$/m)
  })

  test('of a seed row is short', async () => {
    const text = await told('0000000000000003')
    expect(text).toMatch(/^row +0000000000000003 · seed row, written by people\ndocument +oasst1 · licence not known$/m)
    expect(text).toMatch(/^curation +none\ntrained +no model$/m)
  })

  test('holds nothing that moves the terminal', async () => {
    const run = await runFolder()
    await run.add({ 'augment/more.jsonl': jsonl([{ id: 'ee', instruction: 'a\u001b[31mb', response: '\u202eevil' }]) })
    const text = renderTrace(await trace({ id: 'ee', run: run.folder }))
    expect(text).toContain('a␛[31mb')
    for (const sign of ['\u001b', '\u202e']) expect(text).not.toContain(sign)
  })
})

test('the command tells it, with an exit code and JSON on request', async () => {
  const { stdout, code } = await runCli(['trace', '77aa', '--run', folder])
  expect({ stdout, code }).toEqual({ stdout: expect.stringMatching(/^row +77aa000000000003 · /), code: 0 })
  const json = await runCli(['trace', '77aa', '--run', folder, '--json'])
  expect(JSON.parse(json.stdout)).toMatchObject({ event: 'trace', rows: [{ id: '77aa000000000003' }] })
  const missing = await runCli(['trace', '77aa', '--lineage', join(folder, 'none.parquet')])
  expect(missing).toMatchObject({ code: 1, stderr: expect.stringContaining('BT_DATA_FILE') })
})
