import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import * as source from '../src/index.js'
import { packageRoot } from '../src/paths.js'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bt-index-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const names = Object.keys(source).toSorted()

function node(...args: string[]): string[] {
  return JSON.parse(execFileSync(process.execPath, args, { cwd: packageRoot, encoding: 'utf8' }))
}

test('the package can be required and imported, with the same names', () => {
  const print = 'console.log(JSON.stringify(Object.keys(api).filter((name) => name !== "__esModule").sort()))'
  expect(node('-e', `const api = require('bt-native'); ${print}`)).toEqual(names)
  expect(node('--input-type=module', '-e', `import * as api from 'bt-native'; ${print}`)).toEqual(names)
})

test('the main verbs are there', () => {
  const verbs = [
    'train',
    'generate',
    'preprocess',
    'evaluate',
    'exportModel',
    'openModel',
    'openRuntime',
    'openTokenizer',
    'makeTemplate',
  ]
  expect(names).toEqual(expect.arrayContaining([...verbs, 'BtError']))
})

test('its types compile without the types of tokenizer, template or table libraries', async () => {
  await writeFile(
    join(folder, 'user.ts'),
    `import { generate, train, type TrainEvent } from 'bt-native'
     async function main(): Promise<TrainEvent | undefined> {
       for await (const event of train({ model: 'm', data: 'd', output: 'o', epochs: 1 })) if (event.type === 'finished') return event
       for await (const row of generate({ adapter: 'o', input: 'i' })) void row.instruction
       return undefined
     }
     void main()
    `,
  )
  await writeFile(join(folder, 'package.json'), '{"type": "module"}')
  await symlink(packageRoot, join(folder, 'bt-native'))
  const types = join(packageRoot, 'node_modules', '@types')
  await writeFile(
    join(folder, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        ...{ strict: true, noEmit: true, skipLibCheck: false, target: 'ES2023', module: 'NodeNext', types: ['node'] },
        ...{
          typeRoots: [types],
          lib: ['ES2023', 'ESNext.Disposable'],
          paths: { 'bt-native': [join(packageRoot, 'dist', 'index.d.ts')] },
        },
      },
      files: ['user.ts'],
    }),
  )
  const tsc = join(packageRoot, 'node_modules', 'typescript', 'bin', 'tsc')
  const listed = execFileSync(process.execPath, [tsc, '-p', folder, '--listFiles'], { encoding: 'utf8' })
  expect(listed).toContain('dist/index.d.ts')
  for (const library of ['tokenizers', '@huggingface', '@duckdb'])
    expect(listed).not.toContain(`node_modules/${library}`)
})
