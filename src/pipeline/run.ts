// A recipe from beginning to end, as one function; and what it would do, as another.
import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { lockPath } from '../data/lock.js'
import { BtError } from '../errors.js'
import { openModel } from '../models/open.js'
import type { RunReport } from '../report/run.js'
import { packageVersion } from '../version.js'
import {
  type ExecuteControl,
  execute,
  type PlannedStage,
  type Run,
  type StageEvent,
  standings,
  upTo,
} from './execute.js'
import { type Forecast, forecast } from './forecast.js'
import { FileHashes } from './keys.js'
import { type Recipe, type RecipeInput, readRecipe, resolveRecipe } from './recipe.js'
import { writeRunReport } from './report.js'
import { stagesOf } from './stages.js'
import { readState, type StageRecord } from './state.js'

/** Which recipe, where to, and how much of it. */
export interface RunInput {
  /** A recipe file, or a recipe. */
  recipe: string | RecipeInput
  /** Folder of the run; runs/NAME if not given. */
  output?: string | undefined
  /** Stop after this stage. */
  until?: string | undefined
  /** Run these stages again, and with them all that depends on what they make. */
  again?: string[] | undefined
}

/** How to end a run. */
export type RunControl = ExecuteControl

/** What a run would do, and about what it would cost. */
export interface RunPlan {
  name: string
  output: string
  stages: (PlannedStage & Forecast)[]
  /** Of what would run; undefined where no speed is known. */
  seconds?: number
}

/** What run() tells as it goes. */
export type RunEvent = ({ type: 'plan' } & RunPlan) | StageEvent | ({ type: 'finished' } & RunSummary)

/** What a run came to. */
export interface RunSummary {
  name: string
  output: string
  stages: StageRecord[]
  /** Stages that this call ran. */
  ran: string[]
  seconds: number
  interrupted: boolean
  /** Nothing had to run. */
  alreadyDone: boolean
  /** report.html, and what it shows. */
  report: string
  shown: RunReport
}

/**
 * Runs the loop of a recipe and yields what happens. A stage runs when what it depends on has changed since it last ran:
 * the content of files, options, the model, the prompt. After a kill the same call goes on where it was.
 * @throws {BtError} BT_CONFIG, BT_USAGE for the recipe; BT_RUN_RECORD; BT_LOCKED; what the stages throw, with the stage's name
 */
export async function* run(input: RunInput, control: RunControl = {}): AsyncGenerator<RunEvent, RunSummary> {
  const started = performance.now()
  const { recipe, ...opened } = await open(input)
  const { folder, stages, state } = opened
  await mkdir(folder, { recursive: true })
  const lock = await lockPath(join(folder, '.lock'), folder)
  try {
    yield { type: 'plan', ...(await planOf({ recipe, ...opened }, input)) }
    const report = () => writeRunReport(folder, recipe, stages, state)
    const { until, again } = input
    const { ran, interrupted } = yield* execute(
      opened,
      { until, again, onStageEnd: async () => void (await report()) },
      control,
    )
    const summary: RunSummary = {
      name: recipe.name,
      output: folder,
      stages: state.stages,
      ran,
      seconds: (performance.now() - started) / 1000,
      interrupted,
      alreadyDone: ran.length === 0 && !interrupted,
      ...(await report()),
    }
    yield { type: 'finished', ...summary }
    return summary
  } finally {
    await lock.release()
  }
}

/**
 * What run() would do. Nothing is written, and nothing computed but hashes.
 * @throws {BtError} as run
 */
export async function planRun(input: RunInput): Promise<RunPlan> {
  return planOf(await open(input), input)
}

async function planOf(opened: Run & { recipe: Recipe }, { until, again }: RunInput): Promise<RunPlan> {
  const wanted = upTo(opened.stages, until)
  const planned = (await standings(opened, again)).slice(0, wanted.length)
  const costs = await forecast(wanted, opened.state, opened.model)
  const stages = planned.map((stage, index) => ({ ...stage, ...costs[index]! }))
  const toRun = stages.filter(({ status }) => status !== 'done')
  const known = toRun.every(({ expectedSeconds }) => expectedSeconds !== undefined)
  const seconds = toRun.reduce((sum, { expectedSeconds }) => sum + (expectedSeconds ?? 0), 0)
  return { name: opened.recipe.name, output: opened.folder, stages, ...(known ? { seconds } : {}) }
}

async function open({ recipe: given, output, until, again }: RunInput): Promise<Run & { recipe: Recipe }> {
  const recipe = typeof given === 'string' ? await readRecipe(given) : resolveRecipe(given)
  const folder = resolve(output ?? join('runs', recipe.name))
  const stages = stagesOf(recipe)
  for (const name of [until, ...(again ?? [])]) {
    if (name === undefined || stages.some((stage) => stage.name === name)) continue
    throw new BtError('BT_USAGE', `the recipe has no stage "${name}"`, {
      remedy: `Its stages are ${stages.map((stage) => stage.name).join(', ')}.`,
    })
  }
  const state = (await readState(folder)) ?? newState(recipe.name)
  const { hash } = await openModel(recipe.model)
  return { recipe, folder, stages, state, model: hash, hashes: new FileHashes(state.files) }
}

function newState(name: string) {
  return { format: 1 as const, version: packageVersion(), name, files: [], stages: [] }
}
