// A chat endpoint that speaks as OpenAI's does (vLLM, llama.cpp's server, Ollama, ...): one question, one reply, with
// patience. What is asked and what the reply means is for judge.ts.
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { BtError, messageOf } from '../errors.js'

export interface ChatMessage {
  role: 'system' | 'user'
  content: string
}

/** A token of the reply with the likeliest tokens in its place, itself among them. */
export interface ReplyToken {
  token: string
  top: { token: string; logProb: number }[]
}

export interface ChatReply {
  text: string
  /** Where the endpoint gives them. */
  tokens?: ReplyToken[]
}

export interface EndpointOptions {
  /** "http://host/v1" or the whole address of chat/completions. */
  url: string
  model: string
  key?: string
  maxTokens: number
  /** Tries after the first. */
  retries: number
  /** Seconds. */
  timeout: number
  /** Milliseconds before the first retry, doubled each time. Default 1,000. */
  retryDelay?: number
}

const replySchema = z.looseObject({
  choices: z
    .array(
      z.looseObject({
        message: z.looseObject({ content: z.string().nullish() }),
        logprobs: z
          .looseObject({
            content: z
              .array(
                z.looseObject({
                  token: z.string(),
                  logprob: z.number(),
                  top_logprobs: z.array(z.looseObject({ token: z.string(), logprob: z.number() })).nullish(),
                }),
              )
              .nullish(),
          })
          .nullish(),
      }),
    )
    .min(1),
})

/** Statuses that another try may help. */
const passing = (status: number) => [408, 409, 425, 429].includes(status) || status >= 500
/** Longest wait between two tries, and longest that a Retry-After is heeded, milliseconds. */
const longestWait = 60_000
const longestAsked = 600_000
/** Likeliest tokens to ask for: what OpenAI gives at most. */
const topTokens = 20

/** What some endpoints refuse: left out after the first refusal. */
interface Manners {
  logProbs: boolean
  temperature: boolean
  limit: 'max_tokens' | 'max_completion_tokens'
}

export class ChatEndpoint {
  /** Address without user, key and query, as it may be written down. */
  readonly name: string
  private readonly address: URL
  private readonly manners: Manners = { logProbs: true, temperature: true, limit: 'max_tokens' }

  constructor(private readonly options: EndpointOptions) {
    this.address = new URL(options.url)
    const path = this.address.pathname.replace(/\/+$/, '')
    this.address.pathname = path.endsWith('/chat/completions') ? path : `${path}/chat/completions`
    this.name = this.address.origin + this.address.pathname
  }

  /**
   * Asks once, and again while that may help.
   * @throws {BtError} BT_JUDGE_REFUSED when the endpoint will not answer, BT_JUDGE_UNREACHABLE when all tries failed; the
   * signal's reason
   */
  async ask(messages: ChatMessage[], signal?: AbortSignal): Promise<ChatReply> {
    for (let tried = 0; ; ) {
      const outcome = await this.attempt(messages, signal)
      if ('reply' in outcome) return outcome.reply
      if ('again' in outcome) continue
      if (tried++ >= this.options.retries) {
        throw new BtError(
          'BT_JUDGE_UNREACHABLE',
          `${this.name}: ${outcome.why}, ${tried} ${tried === 1 ? 'time' : 'times'}`,
          {
            remedy:
              'Run the same command again when the judge answers: what it said so far is kept. --judge-timeout and --judge-retries give it more time.',
          },
        )
      }
      const backoff = Math.min(longestWait, (this.options.retryDelay ?? 1000) * 2 ** (tried - 1))
      // Spread out, so that questions that failed together do not come back together.
      await sleep(outcome.wait ?? backoff * (0.5 + Math.random() / 2), undefined, { signal })
    }
  }

  private async attempt(messages: ChatMessage[], signal: AbortSignal | undefined): Promise<Outcome> {
    const manners = { ...this.manners }
    const timeout = AbortSignal.timeout(this.options.timeout * 1000)
    try {
      const response = await fetch(this.address, {
        method: 'POST',
        headers: {
          'Content-Type': 'application/json',
          ...(this.options.key ? { Authorization: `Bearer ${this.options.key}` } : {}),
        },
        body: JSON.stringify(this.bodyOf(messages, manners)),
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      })
      const text = await response.text()
      if (response.ok) return replyOf(text)
      if (passing(response.status))
        return { why: `HTTP ${response.status}`, ...waitOf(response.headers.get('retry-after')) }
      if ([400, 422].includes(response.status) && this.relent(text, manners)) return { again: true }
      throw new BtError(
        'BT_JUDGE_REFUSED',
        `${this.name}: HTTP ${response.status}: ${text.trim().slice(0, 300) || 'no reason given'}`,
        {
          remedy: 'Check --judge and --judge-model, and the key in BT_JUDGE_KEY.',
        },
      )
    } catch (error) {
      if (error instanceof BtError) throw error
      signal?.throwIfAborted()
      if (timeout.aborted) return { why: `no answer in ${this.options.timeout} s` }
      return { why: messageOf(error instanceof Error && error.cause ? error.cause : error) }
    }
  }

  private bodyOf(messages: ChatMessage[], { logProbs, temperature, limit }: Manners): object {
    return {
      model: this.options.model,
      messages,
      [limit]: this.options.maxTokens,
      ...(temperature ? { temperature: 0 } : {}),
      ...(logProbs ? { logprobs: true, top_logprobs: topTokens } : {}),
    }
  }

  /** Leaves out what a refusal names; false where that was left out already, or nothing is named. */
  private relent(refusal: string, tried: Manners): boolean {
    const before = JSON.stringify(tried)
    const next = { ...tried }
    if (/max_completion_tokens/.test(refusal)) next.limit = 'max_completion_tokens'
    else if (/logprobs/i.test(refusal)) next.logProbs = false
    else if (/temperature/i.test(refusal)) next.temperature = false
    if (JSON.stringify(next) === before) return false
    Object.assign(this.manners, next)
    return true
  }
}

type Outcome = { reply: ChatReply } | { again: true } | { why: string; wait?: number }

function replyOf(text: string): Outcome {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return { why: `its answer is no JSON: ${JSON.stringify(text.slice(0, 80))}` }
  }
  const reply = replySchema.safeParse(json)
  if (!reply.success) return { why: `its answer holds no message: ${text.slice(0, 80)}` }
  const { message, logprobs } = reply.data.choices[0]!
  const tokens = logprobs?.content?.map(({ token, logprob, top_logprobs }) => ({
    token,
    top: top_logprobs?.length
      ? top_logprobs.map((one) => ({ token: one.token, logProb: one.logprob }))
      : [{ token, logProb: logprob }],
  }))
  return { reply: { text: message.content ?? '', ...(tokens?.length ? { tokens } : {}) } }
}

/** Retry-After, in seconds or as a date, as milliseconds. */
function waitOf(header: string | null): { wait?: number } {
  if (header === null) return {}
  const seconds = Number(header)
  const wait = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - Date.now()
  return Number.isNaN(wait) ? {} : { wait: Math.min(longestAsked, Math.max(0, wait)) }
}
