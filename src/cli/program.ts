// The command line's root: which commands there are, and their loading one at a time so that help and version are quick.
import { Command } from 'commander'
import { packageVersion } from '../version.js'

interface CommandEntry {
  name: string
  group: string
  summary: string
  load: () => Promise<(program: Command) => void>
}

/** Order and groups of the overview; each command's own file says the rest. */
const commands: CommandEntry[] = [
  {
    name: 'setup',
    group: 'Set up:',
    summary: 'provide libtorch and models in the cache',
    load: async () => (await import('./setup.js')).addSetup,
  },
  {
    name: 'doctor',
    group: 'Set up:',
    summary: 'tell what was found, what is wrong and how to mend it',
    load: async () => (await import('./doctor.js')).addDoctor,
  },
  {
    name: 'run',
    group: 'The loop:',
    summary: 'run a recipe: the whole loop, each stage when what it depends on has changed',
    load: async () => (await import('./loop.js')).addRun,
  },
  {
    name: 'preprocess',
    group: 'Work:',
    summary: 'turn data sets into clean (instruction, response) rows',
    load: async () => (await import('./preprocess.js')).addPreprocess,
  },
  {
    name: 'segment',
    group: 'Work:',
    summary: 'cut pages and documents into texts to write instructions for',
    load: async () => (await import('./segment.js')).addSegment,
  },
  {
    name: 'audit',
    group: 'Work:',
    summary: 'show what would be trained on: tokens, scored and cut',
    load: async () => (await import('./audit.js')).addAudit,
  },
  {
    name: 'plan',
    group: 'Work:',
    summary: 'tell the memory and time that a training run would take',
    load: async () => (await import('./plan.js')).addPlan,
  },
  {
    name: 'train',
    group: 'Work:',
    summary: 'train a LoRA adapter that writes instructions',
    load: async () => (await import('./train.js')).addTrain,
  },
  {
    name: 'report',
    group: 'Work:',
    summary: 'show a training run as one HTML page',
    load: async () => (await import('./report.js')).addReport,
  },
  {
    name: 'generate',
    group: 'Work:',
    summary: 'write an instruction for each text',
    load: async () => (await import('./generate.js')).addGenerate,
  },
  {
    name: 'converse',
    group: 'Work:',
    summary: 'write conversations whose replies are the sections of long texts',
    load: async () => (await import('./converse.js')).addConverse,
  },
  {
    name: 'merge-shards',
    group: 'Work:',
    summary: 'put together what an array job wrote',
    load: async () => (await import('./merge-shards.js')).addMergeShards,
  },
  {
    name: 'evaluate',
    group: 'Work:',
    summary: 'score written instructions against the true ones',
    load: async () => (await import('./evaluate.js')).addEvaluate,
  },
  {
    name: 'score',
    group: 'Work:',
    summary: 'tell how likely a model takes given pairs to be',
    load: async () => (await import('./score.js')).addScore,
  },
  {
    name: 'compare',
    group: 'Work:',
    summary: 'hold forward models against each other on held-out pairs',
    load: async () => (await import('./compare.js')).addCompare,
  },
  {
    name: 'curate',
    group: 'Work:',
    summary: 'score pairs and keep the good ones',
    load: async () => (await import('./curate.js')).addCurate,
  },
  {
    name: 'rewrite',
    group: 'Work:',
    summary: 'write better responses, and keep those that score no worse',
    load: async () => (await import('./rewrite.js')).addRewrite,
  },
  {
    name: 'dataset',
    group: 'Work:',
    summary: 'write rows as a data set that others read, with a card',
    load: async () => (await import('./dataset.js')).addDataset,
  },
  {
    name: 'publish',
    group: 'Work:',
    summary: 'send a data set, an adapter or a model to the Hugging Face Hub',
    load: async () => (await import('./publish.js')).addPublish,
  },
  {
    name: 'trace',
    group: 'Work:',
    summary: 'tell where a row came from, what wrote it, and why it was kept',
    load: async () => (await import('./trace.js')).addTrace,
  },
  {
    name: 'export',
    group: 'Work:',
    summary: 'merge an adapter into its model, for transformers or llama.cpp',
    load: async () => (await import('./export.js')).addExport,
  },
]

/**
 * The whole command line. Only the command that `args` names is loaded; the others are known by name and summary.
 * Wrong usage and help throw a CommanderError (exitOverride): the caller sets the exit code.
 */
export async function buildProgram(args: string[]): Promise<Command> {
  const program = new Command('bt-native')
    .description(
      'Instruction backtranslation on libtorch: train a small model to write the instruction that a text answers.',
    )
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help; after a command, that of the command')
    .option('--no-color', 'no colours (NO_COLOR=1 does the same)')
    .configureHelp({ showGlobalOptions: true, helpWidth: Math.min(process.stdout.columns ?? 100, 110) })
    .showSuggestionAfterError(true)
    .exitOverride()
    .addHelpText('after', overviewExamples)

  // A word after a flag may be that flag's value; only program flags without a value can stand before the command.
  const named = commands.find((entry) => entry.name === args.find((arg) => arg !== 'help' && !arg.startsWith('-')))
  for (const entry of commands) {
    if (entry === named) (await entry.load())(program)
    else program.command(entry.name).summary(entry.summary).description(entry.summary)
    const command = program.commands.find((candidate) => candidate.name() === entry.name)
    command?.helpGroup(entry.group).summary(entry.summary)
  }
  return program
}

const overviewExamples = `
Examples:
  $ bt-native setup --model smollm2-135m
  $ bt-native train --model smollm2-135m --data seed.jsonl --output runs/first
  $ bt-native generate --adapter runs/first --input texts.jsonl --output pairs.jsonl

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted with everything saved,
141 the reader of the output left.`
