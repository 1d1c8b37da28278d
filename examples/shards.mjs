// Texts written for by several processes at once, as an array job does it on many machines; then one file. Killed and run
// again, each shard goes on where it was.
//
//   node examples/shards.mjs runs/first pairs.jsonl [SHARDS]
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { mergeShards } from 'bt-native'

const [adapter, output, count = '2'] = process.argv.slice(2)
if (!adapter || !output) throw new Error('usage: node examples/shards.mjs ADAPTER OUTPUT [SHARDS]')

const program = fileURLToPath(new URL('../bin/bt-native.js', import.meta.url))
const input = fileURLToPath(new URL('seed.jsonl', import.meta.url))
const args = ['generate', '--adapter', adapter, '--input', input, '--limit', '20', '--threads', '1', '--output', output]
const shards = Array.from({ length: Number(count) }, (_, at) => `${at + 1}/${count}`)
await Promise.all(shards.map((shard) => promisify(execFile)(process.execPath, [program, ...args, '--shard', shard])))

const { rows } = await mergeShards({ output })
console.log(`${rows} rows of ${count} shards in ${output}`)
