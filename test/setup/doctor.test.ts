// Doctor on this machine and on ones made to be wrong. Runs dist/, and opens the real addon and libtorch.
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { packageRoot } from '../../src/paths.js'
import { type Diagnosis, diagnose, type Finding, rankRemedies } from '../../src/setup/doctor.js'
import { driverProblem, findGpus, parseQuery } from '../../src/setup/gpu.js'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'bt-doctor-'))
})
afterEach(() => rmSync(root, { recursive: true }))

/** Every place that libtorch could be found in, emptied. */
const bare = () => {
  const { BT_NATIVE_LIBTORCH: _, VIRTUAL_ENV: __, CONDA_PREFIX: ___, LIBTORCH: ____, ...env } = process.env
  return { ...env, BT_NATIVE_CACHE: join(root, 'cache'), HF_HOME: join(root, 'hf') }
}
const about = (diagnosis: Diagnosis, area: string) => diagnosis.findings.find((finding) => finding.area === area)

describe('bt-native doctor', () => {
  it('says that this machine is ready, and how fast it is', () => {
    const doctor = [join(packageRoot, 'bin', 'bt-native.js'), 'doctor', '--json']
    const { status, stdout } = spawnSync(process.execPath, doctor, { encoding: 'utf8' })
    const diagnosis = JSON.parse(stdout) as Diagnosis
    expect(diagnosis.findings.filter(({ state }) => state === 'fail')).toEqual([])
    expect(status).toBe(0)
    expect(diagnosis.facts.probe).toMatchObject({ opened: true, info: { torch: expect.stringMatching(/^2\./) } })
    expect(about(diagnosis, 'cpu')?.message).toMatch(/(fp32|bf16) by default, about [\d.]+ [GT]FLOP\/s measured/)
    expect(about(diagnosis, 'libtorch')?.details?.[0]).toMatch(/^opens in \d+ ms$/)
  })

  it('fails and names the set-up command where there is no libtorch', async () => {
    const diagnosis = await diagnose(bare())
    expect(diagnosis.ready).toBe(false)
    expect(about(diagnosis, 'libtorch')).toMatchObject({ state: 'fail', remedy: 'npx bt-native setup' })
    expect(diagnosis.remedies[0]).toBe('npx bt-native setup')
    expect(about(diagnosis, 'models')).toMatchObject({ state: 'warn', remedy: expect.stringContaining('smollm2-135m') })
  })

  it('fails with what the loader said where libtorch does not open', async () => {
    const lib = join(root, 'broken', 'torch', 'lib')
    mkdirSync(lib, { recursive: true })
    for (const name of ['libtorch_cpu.so', 'libc10.so']) writeFileSync(join(lib, name), 'not a library')
    const diagnosis = await diagnose({ ...bare(), BT_NATIVE_LIBTORCH: join(root, 'broken') })
    expect(diagnosis.ready).toBe(false)
    expect(about(diagnosis, 'libtorch')?.details?.join('\n')).toMatch(/does not open: .*(libc10|libtorch_cpu)/)
  })

  it('tells the sizes of what lies in the cache, and the models of the Hub cache', async () => {
    mkdirSync(join(root, 'cache', 'libtorch-2.9.1-cpu'), { recursive: true })
    writeFileSync(join(root, 'cache', 'libtorch-2.9.1-cpu', 'file'), Buffer.alloc(2_500_000))
    mkdirSync(join(root, 'hf', 'hub', 'models--Qwen--Qwen3-0.6B'), { recursive: true })
    const { facts } = await diagnose(bare())
    expect(facts.cache.parts).toEqual([{ name: 'libtorch-2.9.1-cpu', bytes: 2_500_000 }])
    expect(facts.models).toEqual(['Qwen/Qwen3-0.6B'])
  })
})

describe('a checkout without the packages that build', () => {
  it('gets its list, with what cannot be told and why', () => {
    const checkout = join(root, 'checkout')
    for (const part of ['bin', 'dist', 'native', 'src', 'package.json', 'CMakeLists.txt']) {
      cpSync(join(packageRoot, part), join(checkout, part), { recursive: true })
    }
    symlinkSync(join(packageRoot, 'build'), join(checkout, 'build'))
    mkdirSync(join(checkout, 'node_modules'))
    for (const name of readdirSync(join(packageRoot, 'node_modules'))) {
      if (name === 'cmake-js') continue
      symlinkSync(join(packageRoot, 'node_modules', name), join(checkout, 'node_modules', name))
    }
    const doctor = [join(checkout, 'bin', 'bt-native.js'), 'doctor', '--json']
    const { status, stdout } = spawnSync(process.execPath, doctor, { encoding: 'utf8' })
    expect(status).toBe(0)
    expect(about(JSON.parse(stdout) as Diagnosis, 'addon')).toMatchObject({
      state: 'warn',
      details: [
        expect.stringMatching(/^whether native\/ has changed since cannot be told: .*cmake-js is not installed$/),
      ],
      remedy: 'npm install',
    })
  })
})

describe('caches that may not be read', () => {
  // The owner's rights do not bind root: then somebody else asks.
  const other = process.getuid!() === 0 ? { uid: 65534, gid: 65534 } : {}
  const doctor = join(packageRoot, 'bin', 'bt-native.js')
  const canRun = spawnSync(process.execPath, [doctor, '--version'], other).status === 0
  it.skipIf(!canRun)('are findings, with what to set', () => {
    chmodSync(root, 0o755)
    for (const name of ['cache', 'hf/hub']) mkdirSync(join(root, name), { recursive: true })
    const closed = ['cache', 'hf/hub'].map((name) => join(root, name))
    for (const path of closed) chmodSync(path, process.getuid!() === 0 ? 0o700 : 0)
    const run = { env: bare(), encoding: 'utf8', ...other } as const
    const { stdout, stderr } = spawnSync(process.execPath, [doctor, 'doctor', '--json'], run)
    for (const path of closed) chmodSync(path, 0o700)
    expect(stderr).toBe('')
    const diagnosis = JSON.parse(stdout) as Diagnosis
    expect(about(diagnosis, 'cache')).toMatchObject({
      state: 'warn',
      remedy: expect.stringContaining('BT_NATIVE_CACHE'),
    })
    expect(about(diagnosis, 'models')).toMatchObject({ state: 'warn', remedy: expect.stringContaining('HF_HOME') })
    const cached = diagnosis.facts.libtorch.filter(({ source }) => source === 'cache')
    expect(cached.map(({ reason }) => reason)).toContain('may not be read')
  })
})

it('puts first what keeps training from running, and says each remedy once', () => {
  const finding = (area: Finding['area'], state: Finding['state'], remedy: string): Finding => ({
    area,
    state,
    remedy,
    message: '',
  })
  const findings = [
    finding('gpu', 'warn', 'driver'),
    finding('addon', 'fail', 'setup'),
    finding('models', 'warn', 'model'),
    finding('libtorch', 'fail', 'setup'),
    finding('node', 'fail', 'node'),
  ]
  expect(rankRemedies(findings)).toEqual(['node', 'setup', 'driver', 'model'])
})

describe('GPUs', () => {
  it('are read from nvidia-smi', async () => {
    const smi = join(root, 'nvidia-smi')
    writeFileSync(
      smi,
      '#!/bin/sh\necho "580.65.06, NVIDIA H100 80GB HBM3, 81559, 9.0"\necho "580.65.06, NVIDIA L4, 23034, 8.9"\n',
    )
    chmodSync(smi, 0o755)
    const { driver, gpus } = await findGpus({ ...process.env, PATH: `${root}:${process.env.PATH}` })
    expect(driver).toBe('580.65.06')
    expect(gpus.map(({ name, capability }) => `${name} ${capability}`)).toEqual([
      'NVIDIA H100 80GB HBM3 9.0',
      'NVIDIA L4 8.9',
    ])
    expect(gpus[0]!.memory).toBe(81559 * 2 ** 20)
    expect(parseQuery('NVIDIA-SMI has failed because it could not communicate with the driver.\n').gpus).toEqual([])
  })

  it('need a driver that is new enough for the CUDA that torch was built with', () => {
    expect(driverProblem('570.86.15', '2.11.0+cu130')).toBe(
      'torch 2.11.0+cu130 needs driver 580 or later; this is 570.86.15',
    )
    expect(driverProblem('570.86.15', '2.9.1+cu128')).toBeUndefined()
    expect(driverProblem('470.1', '2.11.0+cpu')).toBeUndefined()
  })
})
