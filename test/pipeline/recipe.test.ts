// Recipes: what is filled in, where relative paths start, and which line of the file a fault is told with.
import { mkdtemp, readdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type RecipeInput, readRecipe, resolveRecipe } from '../../src/pipeline/recipe.js'
import { stagesOf } from '../../src/pipeline/stages.js'

async function recipe(text: string): Promise<string> {
  const path = join(await mkdtemp(join(tmpdir(), 'bt-recipe-')), 'small.yaml')
  await writeFile(path, text)
  return path
}

const least = 'model: smollm2-135m\nseed:\n  data: seed.jsonl\ncorpus:\n  input: pages/*.html\n'

describe('a recipe', () => {
  it('needs a model, a seed and a corpus alone', async () => {
    const path = await recipe(least)
    const found = await readRecipe(path)
    expect(found).toMatchObject({ name: 'small', iterations: 2, control: true, tags: true })
    expect(found.seed.data).toEqual([resolve(path, '../seed.jsonl')])
    expect(found.corpus.input).toEqual([resolve(path, '../pages/*.html')])
    expect(stagesOf(found).map(({ name }) => name)).toEqual([
      'seed',
      'corpus',
      'backward',
      'augment',
      'check',
      'mix-0',
      'm0',
      'curate-1',
      'mix-1',
      'm1',
      'curate-2',
      'mix-2',
      'm2',
      'mix-control',
      'control',
      'evaluate',
      'lineage',
      'dataset',
    ])
  })

  it('has the stages that its options ask for', () => {
    const base = { model: 'smollm2-135m', seed: { data: 'a.jsonl' }, corpus: { input: 'b.jsonl' } }
    const names = (more: object) => stagesOf(resolveRecipe({ ...base, ...more })).map(({ name }) => name)
    expect(names({ iterations: 0 })).toEqual(['seed', 'corpus', 'backward', 'augment', 'check', 'lineage', 'dataset'])
    expect(names({ iterations: 1, control: false, seed: { data: 'a', heldOut: 0 } })).toEqual([
      ...['seed', 'corpus', 'backward', 'augment', 'mix-0', 'm0'],
      ...['curate-1', 'mix-1', 'm1', 'lineage', 'dataset'],
    ])
  })

  it('compares models by likelihood alone unless it says what they write, and who judges', () => {
    const base = { model: 'smollm2-135m', seed: { data: 'a.jsonl' }, corpus: { input: 'b.jsonl' }, iterations: 1 }
    const evaluation = (evaluate: boolean | object) =>
      stagesOf(resolveRecipe({ ...base, evaluate } as RecipeInput)).find(({ name }) => name === 'evaluate')
    expect(evaluation(false)).toBeUndefined()
    expect(evaluation(true)!.options).toMatchObject({ writeRows: 0, bootstrap: 1000, judge: undefined })
    expect(evaluation({})!.options).toEqual(evaluation(true)!.options)
    const judge = { judge: 'http://localhost:8000/v1', judgeModel: 'qwen3' }
    const judged = { writeRows: 50, maxNewTokens: 128, ...judge }
    expect(evaluation(judged)!.options).toMatchObject(judged)
    // How patient it is changes nothing.
    expect(evaluation({ ...judged, judgeTimeout: 5, batchSize: 2 })!.options).toEqual(evaluation(judged)!.options)
  })

  it.each([
    [
      'a judge without anything to judge',
      `${least}evaluate:\n  judge: http://localhost/v1\n  judgeModel: x\n`,
      /small\.yaml:7: evaluate\.judge: judge has nothing to judge with writeRows 0/,
      undefined,
    ],
    [
      'an unknown option of the comparison',
      `${least}evaluate:\n  writeRow: 20\n`,
      /small\.yaml:7: there is no option "evaluate.writeRow"/,
      'Did you mean writeRows?',
    ],
    [
      'an unknown option',
      `${least}iteration: 3\n`,
      /small\.yaml:6: there is no option "iteration"/,
      'Did you mean iterations?',
    ],
    [
      'an unknown option of a stage',
      `${least}backward:\n  epoch: 3\n`,
      /small\.yaml:7: there is no option "backward.epoch"/,
      'Did you mean epochs?',
    ],
    ['a wrong value', `${least}forward:\n  r: -1\n`, /small\.yaml:7: forward\.r: /, undefined],
    [
      'a wrong value in a list',
      `${least}curate:\n  - top: 0.5\n  - top: 2\n`,
      /small\.yaml:8: curate\.1\.top: /,
      undefined,
    ],
    ['something missing', 'model: x\nseed:\n  lang: [en]\n', /small\.yaml:3: seed\.data: /, undefined],
    ['broken YAML', 'model: [\n', /small\.yaml:2: /, undefined],
    ['no recipe at all', '- one\n', /a recipe was expected/, undefined],
  ])('tells %s with its line', async (_, text, message, remedy) => {
    await expect(readRecipe(await recipe(text))).rejects.toMatchObject({
      code: 'BT_CONFIG',
      message: expect.stringMatching(message),
      ...(remedy ? { remedy } : {}),
    })
  })

  it('that is not there is told by its name', async () => {
    await expect(readRecipe('nowhere.yaml')).rejects.toMatchObject({ code: 'BT_CONFIG', message: /nowhere\.yaml/ })
  })

  it('of the examples reads without fault', async () => {
    const folder = resolve('examples/recipes')
    const files = (await readdir(folder)).filter((name) => name.endsWith('.yaml'))
    expect(files.length).toBeGreaterThan(2)
    for (const name of files) expect(stagesOf(await readRecipe(join(folder, name))).length).toBeGreaterThan(4)
  })
})
