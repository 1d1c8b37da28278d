// The learning rate as a pure function of the step: nothing to store, nothing to restore.

export interface Schedule {
  schedule: 'linear' | 'cosine' | 'constant'
  /** At its peak. */
  learningRate: number
  /** Steps of warm-up; below 1 a share of all steps. */
  warmup: number
  totalSteps: number
}

/** Steps over which the rate rises: at most all of them. */
export function warmupSteps(schedule: Schedule): number {
  const steps = schedule.warmup < 1 ? Math.round(schedule.warmup * schedule.totalSteps) : Math.round(schedule.warmup)
  return Math.min(steps, schedule.totalSteps)
}

/**
 * Learning rate of optimizer step `step` (from 1). It rises to the peak at the last step of the warm-up, and falls so
 * that the step after the last would have zero. As transformers' get_{linear,cosine}_schedule_with_warmup, but that the
 * first step already moves.
 */
export function learningRateAt(schedule: Schedule, step: number): number {
  const warmup = warmupSteps(schedule)
  if (step <= warmup) return (schedule.learningRate * step) / warmup
  if (schedule.schedule === 'constant') return schedule.learningRate
  const done = Math.min(1, (step - 1 - warmup) / (schedule.totalSteps - warmup))
  if (schedule.schedule === 'linear') return schedule.learningRate * (1 - done)
  return (schedule.learningRate * (1 + Math.cos(Math.PI * done))) / 2
}
