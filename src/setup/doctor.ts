// What is on this machine and what is wrong with it. Finds and judges; prints nothing and changes nothing.
import { constants, existsSync } from 'node:fs'
import { access, readdir, statfs } from 'node:fs/promises'
import { availableParallelism, totalmem } from 'node:os'
import { basename, dirname, join } from 'node:path'
import type { CoreInfo } from '../../binding.js'
import { BtError, hasCode, messageOf } from '../errors.js'
import { hubSettings } from '../models/hub-settings.js'
import { findLibtorch, type LibtorchCandidate } from '../native/find.js'
import { addonPath } from '../native/load.js'
import { coreMinors, findLoader } from '../native/locate.js'
import { describeMachine, machineObstacle, thisMachine } from '../native/machine.js'
import { cacheFolder, modelFolder, packageRoot } from '../paths.js'
import { isBuilt, isCheckout } from './build.js'
import { driverProblem, findGpus, type Gpus } from './gpu.js'
import { inspect } from './install.js'
import { providedModels } from './model.js'
import { findPip, folderSize } from './pip.js'
import { type ProbeResult, probeFlag } from './probe.js'
import { run } from './run.js'
import { installCommand, missingTools } from './tools.js'

export type Area = 'node' | 'addon' | 'libtorch' | 'gpu' | 'cpu' | 'cache' | 'models' | 'tools'

/** One thing that was looked at. */
export interface Finding {
  area: Area
  /** 'fail' keeps training from running; 'warn' is worth knowing. */
  state: 'ok' | 'warn' | 'fail'
  message: string
  details?: string[]
  /** What to do about it, where there is something to do. */
  remedy?: string
}

export interface Diagnosis {
  /** Training can run. */
  ready: boolean
  device: 'cpu' | 'cuda'
  findings: Finding[]
  /** What to do, most needed first, each once. */
  remedies: string[]
  facts: Facts
}

/** The same for programs. */
export interface Facts {
  node: string
  /** undefined where libc is not glibc. */
  glibc: string | undefined
  arch: string
  addon: { path: string; kind: 'built' | 'prebuilt' | 'named'; cores: string[] } | undefined
  /** Every place looked in for libtorch, in order. */
  libtorch: LibtorchCandidate[]
  probe: ProbeResult
  gpus: Gpus
  cache: {
    folder: string
    freeBytes: number | undefined
    parts: { name: string; bytes: number }[]
    /** Why it cannot be read or written. */
    problem?: string
  }
  models: string[]
}

/** Looks at everything; takes a second or two. */
export async function diagnose(env: NodeJS.ProcessEnv = process.env): Promise<Diagnosis> {
  const addon = addonFacts(env)
  const minors = addon.facts?.cores
  const libtorch = findLibtorch({ env, ...(minors?.length && { minors }) })
  const [probe, gpus, cache, models, tools] = await Promise.all([
    runProbe(env),
    findGpus(env),
    cacheFacts(env),
    modelNames(env),
    toolFindings(env),
  ])
  const facts: Facts = {
    node: process.versions.node,
    glibc: thisMachine().glibc,
    arch: process.arch,
    addon: addon.facts,
    libtorch,
    probe,
    gpus,
    cache,
    models: models.names,
  }
  const findings = [
    nodeFinding(facts),
    await addonFinding(facts, addon.problem, libtorch),
    await libtorchFinding(facts),
    gpuFinding(facts),
    cpuFinding(facts),
    cacheFinding(facts),
    modelsFinding(models),
    ...tools,
  ].filter((finding) => finding !== undefined)
  return {
    ready: !findings.some(({ state }) => state === 'fail'),
    device: probe.opened && probe.info.cudaDevices > 0 ? 'cuda' : 'cpu',
    findings,
    remedies: rankRemedies(findings),
    facts,
  }
}

/** What keeps training from running comes first; what sets up another part comes before that part. */
const remedyOrder: Area[] = ['node', 'tools', 'libtorch', 'addon', 'gpu', 'models', 'cache', 'cpu']

export function rankRemedies(findings: Finding[]): string[] {
  const rank = ({ state, area }: Finding) => (state === 'fail' ? 0 : 100) + remedyOrder.indexOf(area)
  const sorted = findings.filter(({ remedy }) => remedy).sort((a, b) => rank(a) - rank(b))
  return [...new Set(sorted.map(({ remedy }) => remedy!))]
}

function nodeFinding({ node, glibc, arch }: Facts): Finding {
  const [major, minor] = node.split('.').map(Number) as [number, number]
  const machine = { ...thisMachine(), glibc, arch }
  const message = describeMachine(machine)
  if (major < 20 || (major === 20 && minor < 19)) {
    return { area: 'node', state: 'fail', message, remedy: 'Install Node 20.19 or later.' }
  }
  const obstacle = machineObstacle(machine)
  if (obstacle) {
    return { area: 'node', state: 'fail', message, details: [obstacle.problem], remedy: obstacle.remedy }
  }
  return { area: 'node', state: 'ok', message }
}

function addonFacts(env: NodeJS.ProcessEnv): { facts: Facts['addon']; problem?: BtError } {
  try {
    const path = addonPath(env)
    return { facts: { path, kind: findLoader(env)!.kind, cores: coreMinors(env) } }
  } catch (error) {
    if (!(error instanceof BtError)) throw error
    return { facts: undefined, problem: error }
  }
}

const setupCommand = 'npx bt-native setup'

async function addonFinding(
  facts: Facts,
  problem: BtError | undefined,
  libtorch: LibtorchCandidate[],
): Promise<Finding> {
  const { addon } = facts
  if (!addon) {
    const message = `addon: ${problem?.message ?? 'missing'}`
    return { area: 'addon', state: 'fail', message, remedy: problem?.remedy?.split('\n')[0] ?? setupCommand }
  }
  if (addon.cores.length === 0) {
    return { area: 'addon', state: 'fail', message: `addon: no core beside ${addon.path}`, remedy: setupCommand }
  }
  const message = `addon ${basename(addon.path)} (${addon.kind}), core for torch ${addon.cores.join(', ')}`
  const version = libtorch.find(({ taken }) => taken)?.version?.split('+')[0]
  const outdated = isCheckout() && addon.kind === 'built' && version ? await whyOutdated(version) : undefined
  if (outdated) return { area: 'addon', state: 'warn', message, ...outdated }
  return { area: 'addon', state: 'ok', message }
}

/** Why what was built in a checkout may not be what its sources say, and what to do about it. */
async function whyOutdated(version: string): Promise<{ details: string[]; remedy: string } | undefined> {
  try {
    if (await isBuilt(version)) return undefined
  } catch (error) {
    if (!(error instanceof BtError)) throw error
    const details = [`whether native/ has changed since cannot be told: ${error.message}`]
    return { details, remedy: 'npm install' }
  }
  return { details: ['native/ has changed since, or it was built by hand'], remedy: 'npm run build:native' }
}

async function libtorchFinding({ libtorch, probe, addon }: Facts): Promise<Finding> {
  const taken = libtorch.find((candidate) => candidate.taken)
  const details = libtorch
    .filter((candidate) => candidate !== taken && candidate.reason !== 'does not exist')
    .map(({ source, path, version, reason }) => `also seen (${source}): ${version ?? 'torch'} in ${path}: ${reason}`)
  if (!taken) {
    const looked = libtorch.map(({ source, path, reason }) => `${source}: ${path}: ${reason}`)
    return {
      area: 'libtorch',
      state: 'fail',
      message: 'no libtorch that can be used',
      details: looked,
      remedy: setupCommand,
    }
  }
  const message = `libtorch ${taken.version ?? '(version unknown)'}${taken.cuda ? ' with CUDA' : ''}   ${taken.path} (${taken.source})`
  if (taken.source === 'cache') {
    const found = await inspect(taken.path)
    if (found.state === 'damaged') {
      details.unshift(`damaged: ${found.why}`)
      if (!probe.opened) return { area: 'libtorch', state: 'fail', message, details, remedy: setupCommand }
      return { area: 'libtorch', state: 'warn', message, details, remedy: setupCommand }
    }
  }
  if (!probe.opened && addon?.cores.length) {
    details.unshift(`does not open: ${probe.message}`)
    return { area: 'libtorch', state: 'fail', message, details, remedy: probe.remedy?.split('\n')[0] ?? setupCommand }
  }
  if (probe.opened) details.unshift(`opens in ${Math.round(probe.milliseconds)} ms`)
  return { area: 'libtorch', state: 'ok', message, details }
}

function gpuFinding({ gpus, probe, libtorch }: Facts): Finding {
  if (!gpus.driver) return { area: 'gpu', state: 'warn', message: 'no NVIDIA driver: training runs on the CPU' }
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(0)} GB`
  const names = gpus.gpus.map(({ name, memory, capability }) => `${name}, ${gigabytes(memory)}, sm ${capability}`)
  const message = `NVIDIA driver ${gpus.driver}: ${names.join('; ') || 'no GPU seen'}`
  const details = gpus.problem ? [gpus.problem] : undefined
  if (probe.opened && probe.info.cudaDevices > 0) {
    return { area: 'gpu', state: 'ok', message, details: [kernelsLine(probe.info.cudaKernels), ...(details ?? [])] }
  }
  const taken = libtorch.find((candidate) => candidate.taken)
  if (taken && !taken.cuda) {
    const why = 'this libtorch is built for the CPU: the GPU lies idle'
    return { area: 'gpu', state: 'warn', message, details: [why], remedy: `${setupCommand} --device cuda` }
  }
  const why = driverProblem(gpus.driver, taken?.version) ?? (probe.opened ? probe.cudaProblem : undefined)
  const remedy = why ? 'Update the NVIDIA driver, or set up a libtorch for an older CUDA with --torch.' : undefined
  const reasons = [why ?? 'libtorch sees no device (CUDA_VISIBLE_DEVICES?)', ...(details ?? [])]
  return { area: 'gpu', state: 'warn', message, details: reasons, remedy }
}

/** What computes between the large products on a GPU. */
export function kernelsLine(kernels: CoreInfo['cudaKernels']): string {
  if (!kernels) return `no kernels of its own: libtorch's operators are used (${setupCommand} --device cuda makes them)`
  return kernels.problem ? `${kernels.path} is not used: ${kernels.problem}` : `kernels ${kernels.path}`
}

function cpuFinding({ probe }: Facts): Finding {
  const threads = availableParallelism()
  const machine = `${threads} ${threads === 1 ? 'thread' : 'threads'}, ${(totalmem() / 1e9).toFixed(0)} GB of memory`
  if (!probe.opened) return { area: 'cpu', state: 'ok', message: `cpu ${machine}` }
  const { avx2, avx512, avx512Bf16, amxBf16 } = probe.info
  const abilities = [avx512 ? 'AVX-512' : avx2 ? 'AVX2' : 'no AVX2', avx512Bf16 && 'BF16', amxBf16 && 'AMX']
  const precision = probe.dtype === 'bfloat16' ? 'bf16' : 'fp32'
  const speed =
    probe.teraflops >= 1 ? `${probe.teraflops.toFixed(1)} TFLOP/s` : `${Math.round(probe.teraflops * 1000)} GFLOP/s`
  const message = `cpu ${abilities.filter(Boolean).join(', ')}, ${machine}: ${precision} by default, about ${speed} measured`
  if (avx2) return { area: 'cpu', state: 'ok', message }
  return { area: 'cpu', state: 'warn', message, details: ['libtorch is many times slower without AVX2'] }
}

async function cacheFacts(env: NodeJS.ProcessEnv): Promise<Facts['cache']> {
  const folder = cacheFolder(env)
  const { names, problem = await writeProblem(folder) } = await namesIn(folder)
  const parts = await Promise.all(names.map(async (name) => ({ name, bytes: await folderSize(join(folder, name)) })))
  return {
    folder,
    freeBytes: await freeBytes(folder),
    parts: parts.filter(({ bytes }) => bytes > 0),
    ...(problem && { problem }),
  }
}

/** Why nothing can be put into `folder`; one that is not there yet is of no concern. */
async function writeProblem(folder: string): Promise<string | undefined> {
  try {
    await access(folder, constants.W_OK)
    return undefined
  } catch (error) {
    return hasCode(error, 'ENOENT') ? undefined : messageOf(error)
  }
}

/** Free space for the user where `folder` is or would be. */
async function freeBytes(folder: string): Promise<number | undefined> {
  for (let path = folder; ; path = dirname(path)) {
    try {
      const { bavail, bsize } = await statfs(path)
      return bavail * bsize
    } catch (error) {
      if (!hasCode(error, 'ENOENT') || path === dirname(path)) return undefined
    }
  }
}

/** None where there is no folder; why, where it cannot be read. */
async function namesIn(folder: string): Promise<{ names: string[]; problem?: string }> {
  try {
    return { names: (await readdir(folder)).sort() }
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return { names: [] }
    return { names: [], problem: messageOf(error) }
  }
}

function cacheFinding({ cache }: Facts): Finding {
  const size = (bytes: number) => (bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.ceil(bytes / 1e6)} MB`)
  const free = cache.freeBytes === undefined ? '' : `, ${size(cache.freeBytes)} free`
  const total = size(cache.parts.reduce((sum, { bytes }) => sum + bytes, 0))
  const details = cache.parts.map(({ name, bytes }) => `${size(bytes).padStart(7)}  ${name}`)
  const message = `cache ${cache.folder}   ${total}${free}`
  if (cache.problem) {
    const remedy = 'Set BT_NATIVE_CACHE to a folder that you may write.'
    return { area: 'cache', state: 'warn', message, details: [cache.problem, ...details], remedy }
  }
  if (cache.freeBytes !== undefined && cache.freeBytes < 1e9) {
    return { area: 'cache', state: 'warn', message, details, remedy: 'Free some disk space: checkpoints need it too.' }
  }
  return { area: 'cache', state: 'ok', message, details }
}

/** Demo models that are there, and models that the Hub's cache holds. */
async function modelNames(env: NodeJS.ProcessEnv): Promise<{ names: string[]; problem?: string }> {
  const demos = Object.keys(providedModels).filter((name) => existsSync(join(modelFolder(name, env), 'model.gguf')))
  const { cache } = await hubSettings(env)
  const { names, problem } = await namesIn(cache)
  const hub = names.filter((name) => name.startsWith('models--'))
  const all = [...demos, ...hub.map((name) => name.slice('models--'.length).replaceAll('--', '/'))]
  return { names: all, ...(problem && { problem }) }
}

function modelsFinding({ names, problem }: { names: string[]; problem?: string }): Finding {
  const message =
    names.length > 0 ? `models ${names.join(', ')}` : 'no model in the caches; --model also takes folders and Hub ids'
  if (problem) {
    const remedy = 'Set HF_HOME to a folder that you may read and write.'
    return { area: 'models', state: 'warn', message, details: [problem], remedy }
  }
  if (names.length > 0) return { area: 'models', state: 'ok', message }
  return { area: 'models', state: 'warn', message, remedy: `${setupCommand} --model ${Object.keys(providedModels)[0]}` }
}

/** Compiler, CMake and pip: of no account once everything is set up, so never a failure. */
async function toolFindings(env: NodeJS.ProcessEnv): Promise<Finding[]> {
  const missing = await missingTools(undefined, env)
  try {
    await findPip(env)
  } catch (error) {
    if (!hasCode(error, 'BT_PIP_MISSING')) throw error
    missing.push({ name: 'pip', commands: [], apt: 'python3-pip' })
  }
  if (missing.length === 0) return []
  const message = `setup would need ${missing.map(({ name }) => name).join(', ')}`
  return [{ area: 'tools', state: 'warn', message, remedy: installCommand(missing) }]
}

/** Runs probe.js; a crash there is an answer too. */
async function runProbe(env: NodeJS.ProcessEnv): Promise<ProbeResult> {
  const program = join(packageRoot, 'dist', 'setup', 'probe.js')
  try {
    const { code, output } = await run(process.execPath, [program, probeFlag], {
      env,
      signal: AbortSignal.timeout(60_000),
    })
    const line = output.split('\n').find((text) => text.startsWith('{"opened"'))
    if (line) return JSON.parse(line) as ProbeResult
    const message = `the process that opened it ended with ${code}: ${output.trim().slice(-400) || 'no word'}`
    return { opened: false, code: undefined, message, remedy: `${setupCommand} --verify` }
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'TimeoutError') throw error
    return { opened: false, code: undefined, message: `no answer in 60 s: ${messageOf(error)}`, remedy: undefined }
  }
}
