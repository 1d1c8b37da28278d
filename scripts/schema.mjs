// Writes docs/train.schema.json from the table of training options (of the last build: run `npm run build:ts` first).
import { writeFileSync } from 'node:fs'
import { trainJsonSchema } from '../dist/train/options.js'

const path = new URL('../docs/train.schema.json', import.meta.url)
writeFileSync(path, `${JSON.stringify(trainJsonSchema(), null, 2)}\n`)
process.stdout.write('docs/train.schema.json is current\n')
