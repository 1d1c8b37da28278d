import { expect, it } from 'vitest'
import { run } from '../../src/setup/run.js'

it('tells which signal ended a program as shells do', async () => {
  for (const [name, code] of Object.entries({ SEGV: 139, KILL: 137, TERM: 143 })) {
    expect((await run('sh', ['-c', `kill -${name} $$`])).code).toBe(code)
  }
})
