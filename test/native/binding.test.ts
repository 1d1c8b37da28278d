// binding.d.ts is written by hand: what it names is what the addon has, no more and no less.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Runtime } from '../../binding.js'
import { loadCore, loadLoader } from '../../src/native/load.js'
import { tinyLora, tinyModel, tinySampler, tinyTrainer } from './tiny.js'

const path = fileURLToPath(new URL('../../binding.d.ts', import.meta.url))
const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.ES2023, true)

/** Names of the members of an interface of binding.d.ts, and for methods the number of parameters. */
function declared(name: string): string[] {
  const found = source.statements.find((node) => ts.isInterfaceDeclaration(node) && node.name.text === name)
  if (!found || !ts.isInterfaceDeclaration(found)) throw new Error(`binding.d.ts has no interface ${name}`)
  return found.members.map((member) => member.name!.getText(source)).sort()
}

function methodsOf(object: object): string[] {
  return Object.getOwnPropertyNames(Object.getPrototypeOf(object))
    .filter((name) => name !== 'constructor')
    .sort()
}

let runtime: Runtime
beforeAll(() => {
  runtime = loadCore({ device: 'cpu' }).core.openRuntime({ device: 'cpu', threads: 1 })
})
afterAll(() => runtime.close())

test('the loader and the core export what binding.d.ts declares', () => {
  expect(Object.keys(loadLoader().loader).sort()).toEqual(declared('Loader'))
  const { core } = loadCore()
  expect(Object.keys(core).sort()).toEqual(declared('Core'))
  expect(Object.keys(core.info()).sort()).toEqual(declared('CoreInfo'))
})

test('the objects have the methods that binding.d.ts declares', async () => {
  const model = await runtime.loadModel(tinyModel())
  const lora = await model.attachLora(tinyLora)
  const trainer = await model.createTrainer(lora, tinyTrainer)
  const sampler = await model.createSampler(tinySampler)
  const objects = { Runtime: runtime, Model: model, Lora: lora, Trainer: trainer, Sampler: sampler }
  for (const [name, object] of Object.entries(objects)) {
    expect(object.constructor.name).toBe(name)
    expect(methodsOf(object), name).toEqual(declared(name))
  }
  expect(Object.keys(await runtime.memory()).sort()).toEqual(declared('MemoryInfo'))
})

test('an environment has one core, however often it is opened', () => {
  const { core, corePath } = loadCore()
  expect(loadLoader().loader.openCore(corePath)).toBe(core)
})
