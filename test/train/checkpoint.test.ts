import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { latestCheckpoint, pruneCheckpoints, writeCheckpoint } from '../../src/train/checkpoint.js'

let run: string
beforeEach(async () => {
  run = await mkdtemp(join(tmpdir(), 'bt-checkpoint-'))
})
afterEach(() => rm(run, { recursive: true, force: true }))

const fill = (folder: string) => writeFile(join(folder, 'state'), folder)

test('the newest is the one with the most steps, not the last by name', async () => {
  for (const step of [9, 100, 20]) await writeCheckpoint(run, step, fill)
  expect(await latestCheckpoint(run)).toEqual({ step: 100, folder: join(run, 'checkpoint-100') })
})

test('a folder that does not exist has none', async () => {
  expect(await latestCheckpoint(join(run, 'absent'))).toBeUndefined()
})

test('one that fails half-way leaves the one before and no trace', async () => {
  await writeCheckpoint(run, 10, fill)
  const failing = writeCheckpoint(run, 20, async (folder) => {
    await fill(folder)
    throw new Error('power cut')
  })
  await expect(failing).rejects.toThrow('power cut')
  expect(await readdir(run)).toEqual(['checkpoint-10'])
})

test('one that a killed process left half-written is ignored, and removed by the next pruning', async () => {
  await writeCheckpoint(run, 10, fill)
  await mkdir(join(run, 'checkpoint-20.tmp'))
  await writeFile(join(run, 'checkpoint-20.tmp', 'state'), 'half')
  expect((await latestCheckpoint(run))?.step).toBe(10)
  await pruneCheckpoints(run, 2)
  expect(await readdir(run)).toEqual(['checkpoint-10'])
})

test('a full disk is named, with what to do', async () => {
  const full = writeCheckpoint(run, 1, () => Promise.reject(Object.assign(new Error('write'), { code: 'ENOSPC' })))
  await expect(full).rejects.toMatchObject({ code: 'BT_DISK_FULL', remedy: expect.stringContaining('--output') })
})

test('pruning keeps the newest', async () => {
  for (const step of [1, 2, 3, 4]) await writeCheckpoint(run, step, fill)
  await pruneCheckpoints(run, 2)
  expect((await readdir(run)).toSorted()).toEqual(['checkpoint-3', 'checkpoint-4'])
})
