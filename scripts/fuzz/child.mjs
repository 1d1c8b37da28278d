// The process that reads damaged files: it may crash or hang, and its parent sees that. Usage: child.mjs TARGET, told
// over IPC {set, name, bytes}: which set of whole files, and the one of them that is damaged. Answers {fault?}.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { faultOf, isBtError, memoryLimit } from './judge.mjs'
import { targets } from './targets.mjs'

const target = targets[process.argv[2]]
const folder = mkdtempSync(join(tmpdir(), 'bt-fuzz-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

let stray
process.on('unhandledRejection', (error) => (stray = error))
process.on('uncaughtException', (error) => (stray = error))

const seeds = await target.seeds()
let written = -1

async function judge({ set, name, bytes }) {
  if (set !== written) for (const [file, whole] of Object.entries(seeds[set])) writeFileSync(join(folder, file), whole)
  written = set
  writeFileSync(join(folder, name), bytes)
  stray = undefined
  try {
    await target.run(folder)
  } catch (error) {
    if (!isBtError(error)) return faultOf(error)
  } finally {
    writeFileSync(join(folder, name), seeds[set][name])
  }
  await new Promise(setImmediate)
  if (stray !== undefined) return `not awaited: ${faultOf(stray)}`
  const { rss } = process.memoryUsage()
  return rss > memoryLimit ? `memory: over ${memoryLimit / 1e9} GB` : undefined
}

process.on('message', async (input) => process.send({ fault: await judge(input) }))
process.on('disconnect', () => process.exit())
process.send({ ready: seeds.map((files) => Object.keys(files)) })
