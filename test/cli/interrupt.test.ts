import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Interrupts, onInterrupt, resumeLine } from '../../src/cli/interrupt.js'
import { openTerminal } from '../../src/cli/terminal.js'

const { argv } = process
let interrupts: Interrupts
beforeEach(() => {
  interrupts = onInterrupt(openTerminal({ json: true }), () => 'saving')
})
afterEach(() => {
  interrupts.dispose()
  process.argv = argv
})

const stops = () => [interrupts.soft.aborted, interrupts.hard.aborted]

test('Ctrl-C asks to save, a second one to leave at once', () => {
  process.emit('SIGINT')
  expect(stops()).toEqual([true, false])
  process.emit('SIGINT')
  expect(stops()).toEqual([true, true])
})

test.each(['SIGTERM', 'SIGHUP'] as const)('%s asks to save, however often it comes', (name) => {
  process.emit(name)
  process.emit(name)
  expect(stops()).toEqual([true, false])
  process.emit('SIGINT')
  expect(stops()).toEqual([true, true])
})

test('the line to resume with leaves --force out once there is something to go on with', () => {
  process.argv = ['node', 'bt-native', 'train', '--force', '--ask', "it's"]
  expect(resumeLine(false)).toBe("npx bt-native train --force --ask 'it'\\''s'")
  expect(resumeLine(true)).toBe("npx bt-native train --ask 'it'\\''s'")
})
