// Contestants as children: answers, and what is told of one that fails.
import { expect, test } from 'vitest'
import { startChild } from '../../bench/child.mjs'

const running = (program: string) => startChild({ label: 'peer', command: process.execPath, args: ['-e', program] })
const answering = `require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => `

test('answers come line by line, and it ends when it is stopped', async () => {
  const child = running(`${answering} console.log(JSON.stringify({ got: JSON.parse(line) })))`)
  expect(await child.ask('step', { rows: 4 })).toEqual({ got: { step: { rows: 4 } } })
  expect(await child.ask('step', { rows: 5 })).toEqual({ got: { step: { rows: 5 } } })
  await child.stop()
})

test('an error that it answers is thrown', async () => {
  const child = running(`${answering} console.log(JSON.stringify({ error: 'out of memory' })))`)
  await expect(child.ask('open', {})).rejects.toThrow('peer: out of memory')
  await child.stop()
})

test('one that ends is reported with its last word', async () => {
  const child = running(`process.stderr.write('no module named peft\\n'); process.exitCode = 3`)
  await expect(child.ask('open', {})).rejects.toThrow('peer ended (exit 3): no module named peft')
  await child.stop()
})

test('a program that is not there is reported by name', async () => {
  const child = startChild({ label: 'peer', command: '/nowhere/python', args: [] })
  await expect(child.ask('open', {})).rejects.toThrow('/nowhere/python')
  await child.stop()
})
