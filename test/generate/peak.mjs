// Generates by the built package and prints the process's peak of resident memory in bytes, and the rows written.
// Usage: node peak.mjs '{"input": ..., "output": ...}'
import { readFileSync } from 'node:fs'
import { generate } from '../../dist/index.js'

let rows = 0
for await (const _ of generate(JSON.parse(process.argv[2]))) rows++
const peak = Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024
process.stdout.write(JSON.stringify({ rows, peak }))
