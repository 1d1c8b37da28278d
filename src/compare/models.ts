// Which models are compared: those that are named, and the base models that they stand on as controls.
import { BtError } from '../errors.js'
import {
  adapterOrModel,
  type LocateControl,
  type Located,
  locateModel,
  type Named,
  type RefuseTask,
  type Told,
  withTask,
} from '../generate/load.js'
import { plainName } from '../paths.js'
import type { CompareOptions } from './options.js'

export interface Contestant {
  name: string
  /** For score and generate. */
  named: Named & Told
  control: boolean
  located: Located
}

/**
 * Finds the models, base models as controls after them.
 * @throws {BtError} BT_USAGE for two of one name, a baseline that is none of them, an adapter of the backward task; what
 * locateModel throws
 */
export async function findContestants(options: CompareOptions, control: LocateControl): Promise<Contestant[]> {
  const found: Contestant[] = []
  for (const text of options.models) {
    const { name, reference } = nameOf(text)
    const { adapter, model } = await adapterOrModel({ model: reference })
    const named = { ...(adapter === undefined ? { model } : { adapter, model: options.base }), system: options.system }
    found.push({ name, named, control: false, located: await locateForward(named, control) })
  }
  for (const { located } of [...found]) {
    const { source } = located
    if (found.some((one) => !one.located.adapter && one.located.source.hash === source.hash)) continue
    const named = { model: source.reference, system: options.system }
    const name = freeName(
      found.map(({ name }) => name),
      source.name,
    )
    found.push({ name, named, control: true, located: await locateForward(named, control) })
  }
  checkNames(found, options.baseline)
  return found
}

/** "m1=runs/m1" -> m1 and runs/m1; "runs/m1" is called m1. */
function nameOf(text: string): { name: string; reference: string } {
  const at = text.indexOf('=')
  if (at > 0 && at < text.length - 1) return { name: text.slice(0, at), reference: text.slice(at + 1) }
  return { name: plainName(text.replace(/\/+$/, '')), reference: text }
}

function freeName(taken: string[], model: string): string {
  return ['base', `base-${plainName(model)}`].find((name) => !taken.includes(name)) ?? `base-${taken.length}`
}

async function locateForward(named: Named & Told, control: LocateControl): Promise<Located> {
  return withTask(await locateModel(named, control), 'forward', named, refuseBackward)
}

const refuseBackward: RefuseTask = (folder) =>
  new BtError('BT_USAGE', `--models: ${folder} was trained for the backward task`, {
    remedy:
      'Compare adapters that were trained with --task forward. `bt-native evaluate` compares what backward ones wrote.',
  })

function checkNames(found: readonly Contestant[], baselines: readonly string[] = []): void {
  const names = found.map(({ name }) => name)
  const odd = names.find((name) => !/^[\p{L}\p{N}][\p{L}\p{N}._-]*$/u.test(name))
  if (odd !== undefined) {
    throw new BtError(
      'BT_USAGE',
      `--models: ${odd} is no name of letters, digits, ".", "_" and "-", which files can have`,
    )
  }
  const twice = names.find((name, at) => names.indexOf(name) !== at)
  if (twice !== undefined) {
    throw new BtError('BT_USAGE', `--models: two of them are called ${twice}`, {
      remedy: 'Name them: --models one=... two=...',
    })
  }
  const unknown = baselines.find((name) => !names.includes(name))
  if (unknown === undefined) return
  throw new BtError('BT_USAGE', `--baseline ${unknown}: there is no such model (models: ${names.join(', ')})`)
}
