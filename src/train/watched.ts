// What a run keeps up to date for those who watch it, beside what it needs itself: report.html, and TensorBoard's event
// files where they are asked for. Made from the events alone, on their way to the caller.
import type { TrainEvent, TrainSummary } from './events.js'
import type { TrainOptions } from './options.js'
import { type EventFile, openEventFile } from './tensorboard.js'

type Events = AsyncGenerator<TrainEvent, TrainSummary | undefined>

/** A report is written anew before an epoch's end when so many times what the last one took have gone by. */
const reportShare = 50

/**
 * Passes events on; by the time the caller sees one, the files have it. report.html is written at the end of each epoch,
 * at checkpoints in between where it costs next to nothing, and when the run ends, is interrupted or fails.
 * @throws what `events` throws; {BtError} BT_DISK_FULL
 */
export async function* watched(events: Events, options: TrainOptions): Events {
  const watcher = new Watcher(options)
  try {
    for (;;) {
      const next = await events.next()
      if (next.done) return next.value
      await watcher.see(next.value)
      yield next.value
    }
  } catch (error) {
    await watcher.fail().catch(() => undefined) // the failure itself is what the caller must hear of
    throw error
  } finally {
    await events.return(undefined)
    await watcher.close()
  }
}

class Watcher {
  private lastStep = -1
  private begun = false
  private endsEpoch = false
  private file: EventFile | undefined
  /** performance.now() when the report was last written, and the milliseconds that it took. */
  private written = { at: 0, took: 0 }

  constructor(private readonly options: TrainOptions) {}

  async see(event: TrainEvent): Promise<void> {
    if (event.type === 'plan') this.begun = true
    if (event.type === 'resumed') this.lastStep = event.step
    if (event.type === 'step') this.endsEpoch = event.step === event.steps || Number.isInteger(event.epoch)
    if (this.options.tensorboard && (event.type === 'step' || event.type === 'validation')) {
      this.file ??= await openEventFile(this.options.output, this.lastStep)
      await this.file.write(event)
    }
    if (event.type === 'finished' || event.type === 'interrupted') await this.report()
    if (event.type === 'checkpoint' && (this.endsEpoch || this.isCheap())) await this.report()
  }

  /** A run that failed is one to look at. */
  async fail(): Promise<void> {
    if (this.begun) await this.report()
  }

  async close(): Promise<void> {
    await this.file?.close()
  }

  private isCheap(): boolean {
    return performance.now() - this.written.at > reportShare * this.written.took
  }

  private async report(): Promise<void> {
    const { trainReport } = await import('./report.js')
    const started = performance.now()
    await trainReport(this.options.output)
    const at = performance.now()
    this.written = { at, took: at - started }
  }
}
