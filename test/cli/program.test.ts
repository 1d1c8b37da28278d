import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { packageRoot } from '../../src/paths.js'
import { packageVersion } from '../../src/version.js'
import { runCli } from './run-cli.js'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-cli-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

describe('the overview', () => {
  test('prints the version of package.json', async () => {
    expect(await runCli(['--version'])).toEqual({ code: 0, stdout: `${packageVersion()}\n`, stderr: '' })
  })

  test('lists every command in groups, without being asked to', async () => {
    const { code, stdout } = await runCli([])
    expect(code).toBe(0)
    expect(stdout).toMatch(
      /Set up:\n +setup .*\n +doctor .*\n\nThe loop:\n +run .*\n\nWork:\n +preprocess .*\n +segment .*\n +audit .*\n +plan .*\n +train .*\n +report .*\n +generate .*\n +converse .*\n +merge-shards .*\n +evaluate .*\n +score .*\n +compare .*\n +curate .*\n +rewrite .*\n +dataset .*\n +publish .*\n +trace .*\n +export/,
    )
  })

  test('takes less than 0.3 s more than Node itself', async () => {
    const seconds = (args: string[]) => {
      const times = Array.from({ length: 4 }, () => {
        const started = performance.now()
        execFileSync(process.execPath, args, { stdio: 'ignore' })
        return (performance.now() - started) / 1000
      })
      return Math.min(...times)
    }
    const bare = seconds(['-e', '0'])
    expect(seconds([join(packageRoot, 'bin', 'bt-native.js'), '--help']) - bare).toBeLessThan(0.3)
  })
})

describe('wrong usage exits with 2', () => {
  test('and suggests the flag that was meant', async () => {
    const { code, stderr } = await runCli(['train', '--modle', 'x'])
    expect(code).toBe(2)
    expect(stderr).toMatch(/unknown option '--modle'\s+\(Did you mean --model\?\)/)
  })

  test('and suggests the command that was meant', async () => {
    const { code, stderr } = await runCli(['trian'])
    expect(code).toBe(2)
    expect(stderr).toMatch(/unknown command 'trian'\s+\(Did you mean train\?\)/)
  })

  test('and names the flag that is missing or wrong', async () => {
    const missing = await runCli(['train', '--model', 'm', '--output', 'o'])
    expect(missing).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining('error BT_USAGE: --data is missing'),
    })
    const wrong = await runCli(['train', '--model', 'm', '--data', 'd', '--output', 'o', '--learning-rate', 'fast'])
    expect(wrong.code).toBe(2)
    expect(wrong.stderr).toMatch(/--learning-rate: .*number/)
    const range = await runCli(['generate', '--adapter', 'a', '--input', 'i', '--output', 'o.jsonl', '--top-p', '1.5'])
    expect(range.code).toBe(2)
    expect(range.stderr).toMatch(/--top-p: .*1/)
  })

  test('and names file and line of a wrong config', async () => {
    const config = join(folder, 'run.yaml')
    await writeFile(config, 'model: m\nepoch: 2\n')
    const { code, stderr } = await runCli(['train', '--config', config])
    expect(code).toBe(2)
    expect(stderr).toContain(`error BT_CONFIG: ${config}:2: there is no option "epoch"\n  Did you mean epochs?`)
  })
})

describe('help', () => {
  test.each(['train', 'generate', 'export'])(
    'of %s groups options, shows defaults and hides the old flags',
    async (name) => {
      const { code, stdout } = await runCli([name, '--help'])
      expect(code).toBe(0)
      expect(stdout).toMatch(/\n(Output|Sampling):\n/)
      expect(stdout).toMatch(/default:\s+512/)
      expect(stdout).not.toContain('_path')
    },
  )

  test.each(['train', 'generate', 'score', 'export'])('of %s has two examples whose flags exist', async (name) => {
    const { stdout } = await runCli([name, '--help'])
    const lines = stdout.split('\n').filter((line) => line.startsWith('  $ '))
    expect(lines).toHaveLength(2)
    const known = new Set(stdout.split('Examples:')[0]!.match(/--[a-z-]+/g))
    for (const flag of lines.join(' ').match(/--[a-z-]+/g)!) expect(known).toContain(flag)
  })
})

test('the old names of flags work', async () => {
  const trained = await runCli(['train', '--model_path', join(folder, 'absent'), '--data_path', 'd'])
  expect(trained.stderr).toContain(`BT_MODEL_NOT_FOUND: no model "${join(folder, 'absent')}"`)
  const generate = await runCli([
    'generate',
    '--model_path',
    join(folder, 'absent'),
    '--input',
    'i',
    '--output',
    'o.jsonl',
  ])
  expect(generate.stderr).toContain('BT_MODEL_NOT_FOUND')
})

test('an error is one line with a code and what to do, in JSON too', async () => {
  const args = ['train', '--model', join(folder, 'absent'), '--data', 'd', '--output', join(folder, 'out')]
  const plain = await runCli(args)
  expect(plain).toMatchObject({ code: 1, stdout: '' })
  expect(plain.stderr).toMatch(/^error BT_MODEL_NOT_FOUND: /)
  const json = await runCli([...args, '--json'])
  expect(JSON.parse(json.stdout)).toMatchObject({ event: 'error', code: 'BT_MODEL_NOT_FOUND' })
})

test('colours are used when forced and never with --no-color or NO_COLOR', async () => {
  const args = ['train', '--model', 'm', '--data', 'd']
  const colour = '\u001b['
  expect((await runCli(args)).stderr).not.toContain(colour)
  expect((await runCli(args, { env: { FORCE_COLOR: '1' } })).stderr).toContain(colour)
  expect((await runCli([...args, '--no-color'], { env: { FORCE_COLOR: '1' } })).stderr).not.toContain(colour)
  expect((await runCli(args, { env: { FORCE_COLOR: '1', NO_COLOR: '1' } })).stderr).not.toContain(colour)
})

test('a reader that closes the pipe early is no failure', () => {
  const script = `set -o pipefail; "${process.execPath}" "${join(packageRoot, 'bin', 'bt-native.js')}" train --help | head -c 5`
  expect(execFileSync('bash', ['-c', `${script} 2>&1`], { encoding: 'utf8' })).toBe('Usage')
})
