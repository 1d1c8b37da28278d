// A recipe: the whole loop as one YAML file. Which options there are, and reading them with the line of each fault. Options
// of a stage are those of its command, less what the loop itself decides.
import { readFile } from 'node:fs/promises'
import { basename, dirname, isAbsolute, resolve } from 'node:path'
import { type Document, isMap, isNode, LineCounter, parseDocument } from 'yaml'
import { z } from 'zod'
import { compareSchema, conflictOf } from '../compare/options.js'
import { curateSchema } from '../curate/options.js'
import { datasetSchema } from '../dataset/options.js'
import { BtError, hasCode } from '../errors.js'
import { nearest, wordsOf } from '../fields.js'
import { generateSchema } from '../generate/options.js'
import { rewriteSchema } from '../rewrite/options.js'
import { segmentSchema } from '../segment/options.js'
import { trainSchema } from '../train/options.js'

const text = z.string().min(1)
const texts = z.union([text.transform((one) => [one]), z.array(text).min(1)])
const count = z.int().positive()
const share = z.number().min(0).lt(1)

const seedSchema = z.strictObject({
  data: texts.describe('(instruction, response) rows that people wrote'),
  heldOut: z
    .union([share, text])
    .default(0.05)
    .describe('share of them, or a file, that no model is trained on: what models are compared on'),
  lang: z.array(text).min(1).optional().describe('languages to keep'),
  columns: z
    .strictObject({ instruction: text, response: text, context: text.optional(), source: text.optional() })
    .optional()
    .describe('which column holds what'),
  singleTurn: z.boolean().optional().describe('conversations of one exchange alone'),
  maxRank: z.int().min(0).optional().describe('OASST1: replies ranked this or better'),
  minInstruction: count.optional().describe('shortest instruction, in characters'),
  maxInstruction: count.optional().describe('longest instruction'),
  minResponse: count.optional().describe('shortest response'),
  maxResponse: count.optional().describe('longest response'),
})

/** Options of training; model, data and output are the loop's. */
const trainPart = trainSchema
  .omit({ model: true, data: true, output: true, task: true, force: true, validationData: true, columns: true })
  .partial()

const tagsSchema = z.strictObject({
  seed: z.string().describe('system text of rows that people wrote'),
  augmented: z.string().describe('system text of rows whose instruction a model wrote'),
})

const curatePart = curateSchema
  .omit({
    ...{ input: true, output: true, adapter: true, model: true, backward: true, backwardModel: true },
    ...{ reference: true, force: true, columns: true, limit: true },
  })
  .partial()

const rewritePart = rewriteSchema
  .omit({
    ...{ input: true, output: true, adapter: true, model: true, backward: true, backwardModel: true },
    ...{ calibration: true, force: true, columns: true, limit: true },
  })
  .partial()

/** Options of compare; models, pairs and output are the loop's, and the machine is that of training. */
export const evaluateSchema = compareSchema
  .omit({
    ...{ models: true, base: true, baseline: true, data: true, columns: true, limit: true, output: true, force: true },
    ...{ precision: true, device: true, threads: true, writeRows: true },
  })
  .partial()
  .extend({ writeRows: z.int().min(0).default(0).describe('pairs that each model writes a response for; 0: none') })
  .superRefine((options, { addIssue }) => {
    const { maxTokens = 1024, maxNewTokens = 256 } = options
    const conflict = conflictOf({ ...options, maxTokens, maxNewTokens }, (option) => option)
    if (conflict) addIssue({ code: 'custom', path: [conflict.option], message: conflict.words })
  })

/** The file. */
export const recipeSchema = z.strictObject({
  name: text.optional().describe("what the run is called; the file's name if not given"),
  model: text.describe('Hugging Face folder, .gguf file, Hub id, or smollm2-135m'),
  seed: seedSchema,
  corpus: segmentSchema
    .omit({ output: true, partitions: true, dropped: true, force: true, limit: true })
    .partial()
    .extend({ input: texts.describe('files, folders and globs to take texts from') })
    .describe('options of segment'),
  backward: trainPart.default({}).describe('options of train for the model that writes instructions'),
  augment: generateSchema
    .omit({ adapter: true, model: true, task: true, input: true, output: true, shard: true, force: true, column: true })
    .partial()
    .default({})
    .describe('options of generate for the instructions'),
  forward: trainPart.default({}).describe('options of train for the models that answer'),
  tags: z.union([z.boolean(), tagsSchema]).default(true).describe('system texts that tell the sources of rows apart'),
  iterations: z
    .int()
    .min(0)
    .max(9)
    .default(2)
    .describe(
      'times that the rows are rated, and a model trained on the good ones; 0: instructions are written, no more',
    ),
  curate: z
    .union([curatePart, z.array(curatePart).min(1)])
    .default({})
    .describe('options of curate; a list has those of each iteration'),
  rewrite: z
    .union([z.boolean(), rewritePart])
    .default(false)
    .describe('write the kept responses anew, and take those whose score does not fall; options of rewrite'),
  control: z.boolean().default(true).describe('train a last model on as many rows taken at random, to compare with'),
  evaluate: z
    .union([z.boolean(), evaluateSchema])
    .default(true)
    .describe('compare the models by the log-likelihood of held-out responses; or options of compare'),
  dataset: datasetSchema
    .omit({ input: true, run: true, lineage: true, output: true, force: true })
    .partial()
    .default({})
    .describe('options of dataset'),
})

/**
 * A recipe as it is written: what it does not say is filled in.
 * @interface
 */
export type RecipeInput = z.input<typeof recipeSchema>

/** A recipe with its defaults, every path absolute. */
export interface Recipe extends z.output<typeof recipeSchema> {
  name: string
}

/**
 * Reads a recipe. Relative paths in it start at its folder.
 * @throws {BtError} BT_CONFIG naming file and line
 */
export async function readRecipe(path: string): Promise<Recipe> {
  const lineCounter = new LineCounter()
  const document = parseDocument(await readText(path), { lineCounter, prettyErrors: false })
  const lineAt = (offset: number) => lineCounter.linePos(offset).line
  const fault = document.errors[0]
  if (fault) throw new BtError('BT_CONFIG', `${path}:${lineAt(fault.pos[0])}: ${fault.message}`)
  if (!isMap(document.contents)) {
    throw new BtError('BT_CONFIG', `${path}: a recipe was expected: "model", "seed" and "corpus" at least`)
  }
  const { $schema: _, ...given } = document.toJS() as Record<string, unknown>
  const parsed = recipeSchema.safeParse(given)
  if (!parsed.success) throw faultOf(parsed.error.issues[0]!, path, document, lineAt)
  return completeRecipe(parsed.data, {
    folder: dirname(resolve(path)),
    name: basename(path).replace(/\.(ya?ml|json)$/i, ''),
  })
}

/**
 * A recipe that a program gives, with its defaults.
 * @throws {BtError} BT_USAGE naming the option
 */
export function resolveRecipe(input: RecipeInput, folder = process.cwd()): Recipe {
  const parsed = recipeSchema.safeParse(input)
  if (parsed.success) return completeRecipe(parsed.data, { folder, name: 'recipe' })
  const issue = innermost(parsed.error.issues[0]!)
  throw new BtError('BT_USAGE', `recipe: ${[...issue.path, ...keysOf(issue)].map(String).join('.')}: ${wordsOf(issue)}`)
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (!hasCode(error, 'ENOENT') && !hasCode(error, 'EISDIR')) throw error
    const what = hasCode(error, 'ENOENT') ? 'no such file' : 'is a folder'
    throw new BtError('BT_CONFIG', `${path}: ${what}`, {
      remedy: 'Name a recipe, such as one of examples/recipes/.',
    })
  }
}

/** Paths from the recipe's folder on. A model may be a name, too: it is a path where it begins like one. */
function completeRecipe(
  recipe: z.output<typeof recipeSchema>,
  { folder, name }: { folder: string; name: string },
): Recipe {
  const at = (path: string) => (isAbsolute(path) || path === '-' ? path : resolve(folder, path))
  const { seed, corpus } = recipe
  const against = corpus.against?.map(at)
  return {
    ...recipe,
    name: recipe.name ?? name,
    model: /^\.{1,2}\//.test(recipe.model) ? at(recipe.model) : recipe.model,
    seed: {
      ...seed,
      data: seed.data.map(at),
      heldOut: typeof seed.heldOut === 'string' ? at(seed.heldOut) : seed.heldOut,
    },
    corpus: { ...corpus, input: corpus.input.map(at), ...(against ? { against } : {}) },
  }
}

type Issue = z.core.$ZodIssue

/** Of a union, the fault of the branch that came furthest, with its whole path. */
function innermost(issue: Issue): Issue {
  if (issue.code !== 'invalid_union') return issue
  const branches = issue.errors.flatMap((branch) => branch.slice(0, 1)).map(innermost)
  const furthest = branches.toSorted((a, b) => b.path.length - a.path.length || rank(b) - rank(a))[0]
  return furthest ? { ...furthest, path: [...issue.path, ...furthest.path] } : issue
}

/** A wrong name says more than a wrong kind of value. */
function rank({ code }: Issue): number {
  return code === 'unrecognized_keys' ? 1 : 0
}

function keysOf(issue: Issue): string[] {
  return issue.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : []
}

function faultOf(found: Issue, file: string, document: Document, lineAt: (offset: number) => number): BtError {
  const issue = innermost(found)
  const keys = issue.path.map(String)
  const place = (path: PropertyKey[]) => {
    for (let depth = path.length; depth > 0; depth--) {
      const node = document.getIn(path.slice(0, depth), true)
      if (isNode(node) && node.range) return `${file}:${lineAt(node.range[0])}`
    }
    return file
  }
  if (issue.code === 'unrecognized_keys') {
    const wrong = issue.keys[0]!
    const near = nearest(wrong, namesAt(issue.path))
    throw new BtError(
      'BT_CONFIG',
      `${place([...issue.path, wrong])}: there is no option "${[...keys, wrong].join('.')}"`,
      {
        remedy: near ? `Did you mean ${near}?` : 'docs/pipeline.md lists the options.',
      },
    )
  }
  return new BtError('BT_CONFIG', `${place(issue.path)}: ${keys.join('.')}: ${wordsOf(issue)}`)
}

/** Names that an object of the recipe may have. */
function namesAt(path: PropertyKey[]): string[] {
  let schemas: z.ZodType[] = [recipeSchema]
  for (const key of path) schemas = schemas.flatMap((schema) => stepInto(schema, key))
  return schemas
    .flatMap((schema) => branchesOf(schema))
    .flatMap((one) => ('shape' in one ? Object.keys(one.shape as object) : []))
}

function stepInto(schema: z.ZodType, key: PropertyKey): z.ZodType[] {
  return branchesOf(schema).flatMap((one) => {
    if (typeof key === 'number' && one instanceof z.ZodArray) return [one.element as z.ZodType]
    if (!('shape' in one)) return []
    const inner = (one.shape as Record<string, z.ZodType>)[String(key)]
    return inner ? [inner] : []
  })
}

/** What a schema is beneath defaults, options to leave it out, and unions. */
function branchesOf(schema: z.ZodType): z.ZodType[] {
  const { innerType, options } = (schema as unknown as { def: { innerType?: z.ZodType; options?: z.ZodType[] } }).def
  if (innerType) return branchesOf(innerType)
  return options ? options.flatMap(branchesOf) : [schema]
}
