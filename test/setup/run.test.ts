import { expect, it } from 'vitest'
import { run } from '../../src/setup/run.js'
import { isRunning } from './processes.js'

it('tells which signal ended a program as shells do', async () => {
  for (const [name, code] of Object.entries({ SEGV: 139, KILL: 137, TERM: 143 })) {
    expect((await run('sh', ['-c', `kill -${name} $$`])).code).toBe(code)
  }
})

it('ends a program with all that it started when it is told to stop', async () => {
  const pids: number[] = []
  const stop = new AbortController()
  const onLine = (line: string) => {
    pids.push(Number(line))
    if (pids.length === 2) stop.abort(new Error('enough'))
  }
  const script = 'echo $$; sleep 100 & echo $!; wait'
  await expect(run('sh', ['-c', script], { onLine, signal: stop.signal })).rejects.toThrow('enough')
  expect(pids.filter(isRunning)).toEqual([])
})

it('ends a program that does not heed SIGTERM', async () => {
  const stop = new AbortController()
  const script = 'trap "" TERM; echo ready; while :; do sleep 0.1; done'
  const stopped = run('sh', ['-c', script], { onLine: () => stop.abort(new Error('enough')), signal: stop.signal })
  await expect(stopped).rejects.toThrow('enough')
}, 10_000)
