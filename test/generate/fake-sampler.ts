// A sampler that writes what it is told to: for what the loop around the real one does. A token is a UTF-16 code unit.
import type { AdvanceResult, Finished, SamplerPrompt } from '../../binding.js'
import type { SampleContext } from '../../src/generate/sample.js'
import type { TextRow } from '../../src/generate/types.js'
import { LeakFinder } from '../../src/metrics/health.js'

export interface Written {
  text: string
  reason?: Finished['reason']
  /** Of each token and of the end token; -1 each if not given. */
  logProb?: number
}

export class FakeSampler {
  readonly prompts: SamplerPrompt[] = []
  advances = 0
  private queue: SamplerPrompt[] = []

  /** @param slots sequences that one call finishes */
  constructor(
    private readonly write: (prompt: SamplerPrompt, given: string, before: number) => Written,
    private readonly slots = 4,
  ) {}

  async add(prompts: SamplerPrompt[]): Promise<void> {
    this.prompts.push(...prompts)
    this.queue.push(...prompts)
  }

  async advance(): Promise<AdvanceResult> {
    this.advances++
    // The last first: rows must be put in order again.
    const finished = this.queue.splice(0, this.slots).reverse()
    return {
      finished: finished.map((prompt) => this.finish(prompt)),
      active: 0,
      waiting: this.queue.length,
      generated: finished.length,
      computed: finished.length,
      proposed: 0,
      taken: 0,
      milliseconds: 0,
    }
  }

  private finish(prompt: SamplerPrompt): Finished {
    const given = decode(prompt.tokens)
    const before = this.prompts.filter((one) => decode(one.tokens) === given).indexOf(prompt)
    const { text, reason = 'stop', logProb = -1 } = this.write(prompt, given, before)
    const tokens = encode(text)
    const scored = tokens.length + (reason === 'stop' ? 1 : 0)
    return { id: prompt.id, tokens, logProbs: new Float32Array(scored).fill(logProb), reason }
  }
}

export const encode = (text: string) => Int32Array.from(text, (letter) => letter.charCodeAt(0))
export const decode = (tokens: ArrayLike<number>) => String.fromCharCode(...Array.from(tokens))

export function contextOf(sampler: FakeSampler, more: Partial<SampleContext> = {}): SampleContext {
  return {
    sampler,
    tokenizer: { decode },
    template: { task: 'backward', encodePrompt: async (text) => ({ tokens: encode(text), cut: 0 }) },
    seed: 0,
    maxTokens: 512,
    maxNewTokens: 64,
    n: 1,
    window: 8,
    guard: {
      faults: [],
      retries: 0,
      task: 'backward',
      leaks: new LeakFinder(['Write the message that this reply answers.']),
    },
    stop: [],
    logProbs: false,
    keepCandidates: false,
    ...more,
  }
}

export async function* rowsOf(...texts: string[]): AsyncGenerator<TextRow> {
  for (const [index, text] of texts.entries()) yield { index, id: `${index}`, text }
}
