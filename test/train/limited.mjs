// Trains by the built package and, once the run stands, leaves this process `room` bytes of address space more: a machine
// whose memory is nearly full. Prints each step's loss and how it ended, a JSON object a line; goes after step `last`.
// Usage: node limited.mjs '{"options": {...}, "room": BYTES, "last": STEP}'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { train } from '../../dist/index.js'

const { options, room, last } = JSON.parse(process.argv[2])
const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)

function leave(bytes) {
  const used = Number(/^VmSize:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024
  execFileSync('prlimit', ['--pid', `${process.pid}`, `--as=${used + bytes}:`])
}

try {
  for await (const { type, step, loss } of train(options)) {
    if (type === 'plan' && room) leave(room)
    if (type === 'step' || type === 'resumed' || type === 'finished') print({ type, step, loss })
    if (type === 'checkpoint' && step === last) break
  }
} catch ({ code, message, remedy }) {
  print({ type: 'error', code, message, remedy })
}
