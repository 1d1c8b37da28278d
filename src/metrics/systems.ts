// Several systems on the same rows: an evaluation of each, and what sets them apart from one of them, tested.
import { BtError } from '../errors.js'
import type { Progress } from '../progress.js'
import { type DetailedEvaluation, detailedSteps } from './evaluate.js'
import { type Matched, matchSystems, type System } from './match.js'
import { type PaceControl, paced } from './paced.js'
import { againstEach, outcomesOf, pairedDifference } from './paired.js'
import type {
  EvaluateSystemsOptions,
  Evaluation,
  MetricName,
  SystemDifferences,
  SystemEvaluation,
  SystemsEvaluation,
} from './types.js'

/**
 * Evaluates systems on the rows that all of them have, and tests each against the baseline by the paired bootstrap: the
 * same resamples of rows for all.
 * @throws {BtError} BT_USAGE for systems of one name, or a baseline that is none of them; what matchSystems throws
 */
export function evaluateSystems(
  systems: readonly System[],
  options: EvaluateSystemsOptions = {},
  control: PaceControl = {},
): Promise<SystemsEvaluation> {
  return paced(systemsSteps(systems, options), control)
}

function* systemsSteps(
  systems: readonly System[],
  { baseline, ...options }: EvaluateSystemsOptions,
): Generator<Progress, SystemsEvaluation> {
  const baselines = typeof baseline === 'string' ? [baseline] : (baseline ?? [])
  checkNames(systems, baselines)
  const { systems: matched, unmatched, matchedBy } = matchSystems(systems)
  const found: ({ name: string } & DetailedEvaluation)[] = []
  for (const { name, rows } of matched) {
    for (const steps = detailedSteps(rows, options); ; ) {
      const step = steps.next()
      if (step.done) {
        found.push({ name, ...step.value })
        break
      }
      yield { ...step.value, label: `${name}: ${step.value.label}` }
    }
  }
  const bases = baselines.map((name) => found.find((one) => one.name === name)!)
  const base = bases[0] ?? found[0]!
  const differences = againstEach(found, bases.length === 0 ? [base] : bases).map(([one, other]) =>
    differencesOf(one, other),
  )
  const { rows, referenced } = base.evaluation
  return {
    rows,
    referenced,
    baseline: base.name,
    systems: found.map(({ name, evaluation }): SystemEvaluation => ({ name, ...evaluation })),
    differences,
    unmatched,
    matchedBy,
    options: base.evaluation.options,
    notes: notesOn(found, differences, unmatched),
  }
}

function checkNames(systems: readonly System[], baselines: readonly string[]): void {
  const names = systems.map(({ name }) => name)
  if (names.length === 0) throw new BtError('BT_USAGE', 'there is no system to evaluate')
  const twice = names.find((name, at) => names.indexOf(name) !== at)
  if (twice !== undefined) throw new BtError('BT_USAGE', `two systems are called ${twice}`)
  const unknown = baselines.find((name) => !names.includes(name))
  if (unknown === undefined) return
  throw new BtError('BT_USAGE', `--baseline ${unknown}: there is no such system (systems: ${names.join(', ')})`)
}

type Named = { name: string } & DetailedEvaluation

function differencesOf(system: Named, baseline: Named): SystemDifferences {
  const metrics: SystemDifferences['metrics'] = {}
  for (const name of Object.keys(system.resamples) as MetricName[]) {
    const [ours, theirs] = [system.resamples[name], baseline.resamples[name]]
    if (!ours || !theirs) continue
    const value = (evaluation: Evaluation) => evaluation.metrics[name]!.value
    metrics[name] = pairedDifference(
      { system: value(system.evaluation), baseline: value(baseline.evaluation) },
      ours,
      theirs,
    )
  }
  return { system: system.name, baseline: baseline.name, metrics, ...outcomesOf(system.rougeL, baseline.rougeL) }
}

/** What a reader must know, once for all systems where it is the same for all. */
function notesOn(
  systems: readonly Named[],
  differences: readonly SystemDifferences[],
  unmatched: Matched['unmatched'],
): string[] {
  const notes = unmatched.map(({ system, count }) => {
    return `${count} ${count === 1 ? 'row' : 'rows'} of ${system} ${count === 1 ? 'is' : 'are'} left out: not every system has ${count === 1 ? 'it' : 'them'}.`
  })
  const every = systems[0]!.evaluation.notes.filter((note) =>
    systems.every(({ evaluation }) => evaluation.notes.includes(note)),
  )
  notes.push(...every)
  for (const { name, evaluation } of systems) {
    notes.push(...evaluation.notes.filter((note) => !every.includes(note)).map((note) => `${name}: ${note}`))
  }
  const tests = differences.reduce((sum, { metrics }) => sum + Object.keys(metrics).length, 0)
  if (tests > 1) {
    notes.push(`${tests} differences are tested: some p-values below 0.05 are to be expected where nothing differs.`)
  }
  return notes
}
