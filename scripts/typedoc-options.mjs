// For typedoc: the options of the API are schemas, so their words and defaults stand there and not in comments. This puts
// them beside each property: those of `trainSchema` into TrainInput and TrainOptions, and so on.
import { join } from 'node:path'
import { globSync } from 'tinyglobby'
import { Comment, Converter, ReflectionKind } from 'typedoc'
import { root } from './console.mjs'

/** Called by typedoc, which waits for it. The schemas are those of the last build. */
export async function load(app) {
  const shapes = await optionShapes()
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const { name, children = [] } of project.getReflectionsByKind(ReflectionKind.Interface)) {
      const shape = shapes.get(name.replace(/(Input|Options)$/, '').toLowerCase())
      for (const property of children) {
        const words = wordsOf(shape?.[property.name])
        if (words) property.comment ??= new Comment([{ kind: 'text', text: words }])
      }
    }
  })
}

/** Schemas of single options, by name, by what they are options of: "train", "generate". */
async function optionShapes() {
  const shapes = new Map()
  for (const path of globSync(['dist/*/*options.js', 'dist/*/recipe.js'], { cwd: root })) {
    for (const [name, schema] of Object.entries(await import(join(root, path)))) {
      if (name.endsWith('Schema') && schema.shape)
        shapes.set(name.slice(0, -'Schema'.length).toLowerCase(), schema.shape)
    }
  }
  if (shapes.size === 0) throw new Error('there is no dist/: npm run build:ts')
  return shapes
}

/** "longest row ... Default: `512`." */
function wordsOf(schema) {
  if (!schema) return undefined
  const { type, defaultValue } = schema.def
  const given = ['default', 'prefault'].includes(type)
  const words = (schema.description ?? '').replace(/^\w/, (letter) => letter.toUpperCase()).replace(/[<|]/g, '\\$&')
  return given ? `${words}. Default: \`${JSON.stringify(defaultValue)}\`.` : `${words}.`
}
