// A disk that fills up while a run saves: one error that says so, and the last good checkpoint to go on from.
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { listCheckpoints } from '../../src/train/checkpoint.js'
import { readState } from '../../src/train/state.js'
import { runCli } from '../cli/run-cli.js'
import { tinyPairs, writeRows, writeTinyModel } from './tiny-model.js'

let folder: string
let disk: string
let mounted = false
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-disk-'))
  disk = join(folder, 'disk')
  await mkdir(disk)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk], { stdio: 'ignore' })
    mounted = true
  } catch {
    // Only who may mount has a disk that is this small.
  }
})
afterAll(async () => {
  if (mounted) execFileSync('umount', [disk])
  await rm(folder, { recursive: true, force: true })
})

test('a full disk is named, and the run goes on from the last good checkpoint when there is room', async ({ skip }) => {
  if (!mounted) skip('mounting a small disk is not allowed here')
  const model = await writeTinyModel(join(folder, 'model'))
  const data = await writeRows(join(folder, 'seed.jsonl'), tinyPairs(24))
  const output = join(disk, 'run')
  const machine = ['--threads', '1', '--device', 'cpu', '--precision', 'fp32']
  const size = ['--save-every', '1', '--keep', '1', '--epochs', '1', '--validation', '0', '--batch-size', '1']
  const args = ['train', '--model', model, '--data', data, ...machine, ...size, '--output', output]
  const ballast = join(disk, 'ballast')

  const room = await runCli([...args, '--max-steps', '2', '--output', join(disk, 'probe')])
  expect(room.code).toBe(0)
  const probe = Number(execFileSync('du', ['-sb', join(disk, 'probe')], { encoding: 'utf8' }).split('\t')[0])
  await rm(join(disk, 'probe'), { recursive: true })

  // Room for a run and a little: it is the second checkpoint, beside the first, that does not fit.
  await writeFile(ballast, Buffer.alloc((1 << 20) - Math.ceil(probe / 4096) * 4096))
  const full = await runCli([...args, '--max-steps', '6'])
  expect(full.code).toBe(1)
  expect(full.stderr).toMatch(/BT_DISK_FULL.*no space left on the disk/)
  expect(full.stderr).toContain('Free some space')
  const [kept, ...more] = await listCheckpoints(output)
  expect(more).toEqual([])
  expect((await readdir(output)).filter((name) => name.endsWith('.tmp'))).toEqual([])
  if (kept) expect((await readState(kept.folder)).standing.step).toBe(kept.step)

  await rm(ballast)
  const rest = await runCli([...args, '--max-steps', '6'])
  expect(rest).toMatchObject({ code: 0 })
  if (kept) expect(rest.stderr).toContain(`going on after step ${kept.step}/6`)
  const lines = (await readFile(join(output, 'metrics.jsonl'), 'utf8')).trimEnd().split('\n')
  expect(lines.map((line) => (JSON.parse(line) as { step: number }).step)).toEqual([1, 2, 3, 4, 5, 6])
})
