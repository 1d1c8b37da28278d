// mix: the rows that a forward model is trained on: the seed, and the rows that were kept (or, for the control, as many that
// chance took), each with its system text. Streamed: memory does not grow with the rows.
import { Drops } from '../../data/drops.js'
import { lineageColumns } from '../../data/lineage.js'
import { readRecords } from '../../data/records.js'
import { sha256, writeAtomic } from '../../files.js'
import { curatedFiles, mixFile, mixFolder, modelName, pairsFile, rewrittenFile, seedFile } from '../files.js'
import type { Recipe } from '../recipe.js'
import type { Stage, StageContext, StageResult } from '../stage.js'
import { tagsOf } from '../tags.js'

/** Of a row in training: where it comes from. */
export type Origin = 'seed' | 'augmented'

/** What M_0 is trained on: the seed. */
export function seedMixStage(recipe: Recipe): Stage {
  return stageOf(recipe, { model: 'm0', title: 'lay out the seed', rows: undefined })
}

/** What M_k is trained on. */
export function mixStage(recipe: Recipe, iteration: number): Stage {
  const rows = keptFile(recipe, iteration)
  return stageOf(recipe, { model: modelName(iteration), title: 'mix the seed and the kept rows', rows })
}

/** The rows of an iteration that are trained on. */
export function keptFile({ rewrite }: Recipe, iteration: number): string {
  return rewrite === false ? curatedFiles(iteration).kept : rewrittenFile(iteration)
}

/** As many rows as the last iteration kept, taken by chance from all that were written. */
export function controlMixStage(recipe: Recipe): Stage {
  const kept = keptFile(recipe, recipe.iterations)
  const stage = stageOf(recipe, { model: 'control', title: 'mix the seed and random rows', rows: pairsFile })
  return {
    ...stage,
    reads: [...stage.reads, kept],
    async expect(rows) {
      const work = await stage.expect(rows)
      const count = rows(seedFile).rows + rows(kept).rows
      return { ...work, rowsIn: count, makes: { [mixFile('control')]: { ...rows(seedFile), rows: count } } }
    },
    async run(context) {
      const wanted = await countRows(context.at(kept))
      return write(context, recipe, 'control', {
        path: pairsFile,
        takes: await randomRows(context.at(pairsFile), wanted),
      })
    },
  }
}

function stageOf(
  recipe: Recipe,
  { model, title, rows }: { model: string; title: string; rows: string | undefined },
): Stage {
  return {
    name: mixFolder(model),
    title,
    kind: 'data',
    folder: mixFolder(model),
    reads: rows === undefined ? [seedFile] : [seedFile, rows],
    usesModel: false,
    options: { tags: tagsOf(recipe) ?? false },
    outputs: [mixFile(model)],
    async expect(volume) {
      const count = volume(seedFile).rows + (rows === undefined ? 0 : volume(rows).rows)
      return { rowsIn: count, makes: { [mixFile(model)]: { ...volume(seedFile), rows: count } } }
    },
    run: (context) => write(context, recipe, model, rows === undefined ? undefined : { path: rows, takes: () => true }),
  }
}

interface Added {
  path: string
  takes(row: Record<string, unknown>): boolean
}

async function write(
  context: StageContext,
  recipe: Recipe,
  model: string,
  added: Added | undefined,
): Promise<StageResult> {
  const tags = tagsOf(recipe)
  const counts = { seed: 0, added: 0 }
  await writeAtomic(context.at(mixFile(model)), async (file) => {
    let lines: string[] = []
    const put = async (row: Record<string, unknown>, origin: Origin, system: string | undefined) => {
      lines.push(JSON.stringify(rowOf(row, origin, system)))
      if (lines.length < 1000) return
      context.signal?.throwIfAborted()
      await file.writeFile(`${lines.join('\n')}\n`)
      lines = []
    }
    for await (const { value } of readRecords(context.at(seedFile), { drops: new Drops() })) {
      await put(value, 'seed', tags?.seed)
      counts.seed++
    }
    for await (const { value } of added ? readRecords(context.at(added.path), { drops: new Drops() }) : []) {
      if (!added?.takes(value)) continue
      await put(value, 'augmented', tags?.augmented)
      counts.added++
    }
    if (lines.length > 0) await file.writeFile(`${lines.join('\n')}\n`)
  })
  const rows = counts.seed + counts.added
  return { rowsIn: rows, rowsOut: rows, note: `${counts.seed} of the seed, ${counts.added} written`, summary: counts }
}

/** A row without what was measured on it. A system text of its own stays. */
function rowOf(row: Record<string, unknown>, origin: Origin, system: string | undefined): Record<string, unknown> {
  const { id, instruction, response, source } = row
  const told = typeof row.system === 'string' && row.system !== '' ? row.system : system
  return {
    id,
    instruction,
    response,
    ...(told === undefined || told === '' ? {} : { system: told }),
    ...(source === undefined ? {} : { source }),
    origin,
    ...Object.fromEntries(
      Object.keys(lineageColumns)
        .filter((name) => row[name] !== undefined && row[name] !== null)
        .map((name) => [name, row[name]]),
    ),
  }
}

async function countRows(path: string): Promise<number> {
  let rows = 0
  for await (const _ of readRecords(path, { drops: new Drops() })) rows++
  return rows
}

/** Takes `wanted` rows of a file, those whose hash is smallest: the same ones each time. */
async function randomRows(path: string, wanted: number): Promise<(row: Record<string, unknown>) => boolean> {
  const hashOf = (row: Record<string, unknown>) => sha256(`control ${String(row.id)}`).slice(0, 12)
  const hashes: string[] = []
  for await (const { value } of readRecords(path, { drops: new Drops() })) hashes.push(hashOf(value))
  const last = hashes.toSorted()[Math.min(wanted, hashes.length) - 1]
  return (row) => last !== undefined && hashOf(row) <= last
}
