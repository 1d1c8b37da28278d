// Tokenizer and prompt template as the rest of the package sees them.

/** backward: the instruction is written for a response; forward: the reverse. */
export type Task = 'backward' | 'forward'

/**
 * Where a text stands, for vocabularies that put a space before the first word (SentencePiece's): 'start' of everything,
 * right after a 'control' token, or in the middle of other 'text'. It makes no difference to byte-level vocabularies.
 */
export type TextPlace = 'start' | 'control' | 'text'

/** A control token ("<|im_end|>") found in a template's own text. */
export interface ControlToken {
  id: number
  text: string
  /** White space on its left or right belongs to it, as some vocabularies have it. */
  lstrip: boolean
  rstrip: boolean
}

/**
 * Encoding is asynchronous because the library's is. Calls made in the same tick are encoded together on all cores, so
 * `await Promise.all(rows.map((row) => tokenizer.encodeText(row)))` is the fast way through many texts.
 */
export interface Tokenizer {
  /** Ids of text in which control tokens ("<|im_end|>") are recognised: for templates only. No tokens are added. */
  encodeTemplate(text: string): Promise<number[]>
  /** Ids of a user's text: whatever it holds, it is plain text and never becomes a control token. No tokens are added. */
  encodeText(text: string, place?: TextPlace): Promise<number[]>
  /** As encodeText, with each token's first UTF-16 position in the text. */
  encodeWithPlaces(text: string, place?: TextPlace): Promise<{ ids: number[]; starts: number[] }>
  /** A template's own text, split around its control tokens: strings are plain text. */
  splitControl(text: string): (ControlToken | string)[]
  /** Text of ids; control tokens are left out unless asked for. */
  decode(ids: ArrayLike<number>, options?: { keepControl?: boolean }): string
  /** The text of one id as stored, control tokens included; '' for an id without a text. */
  tokenText(id: number): string
  /** The bytes that one id adds to a text; none for an id without a text. They may begin or end inside a character. */
  tokenBytes(id: number): Uint8Array
  /** Whether an id is a control token, which no user's text can produce. */
  isControl(id: number): boolean
  readonly vocabSize: number
  /** Ids that end a turn or the text. */
  readonly eosIds: number[]
}

/** One pair as the data folder reads it. */
export interface Pair {
  instruction: string
  response: string
}

/** Pairs that follow one another: the user's messages and the replies to them. */
export interface Conversation {
  /** What the replying side was told before them. */
  system?: string
  /** At least one. */
  exchanges: Pair[]
}

/** What was said before a prompt's own context. */
export interface Before {
  /** What the replying side was told; read in the forward task alone. */
  system?: string | undefined
  /** Oldest first. */
  exchanges?: readonly Pair[] | undefined
}

/** Which targets of a conversation are scored: all of them, or the last alone. */
export type Turns = 'all' | 'last'

/** A row ready to be packed. */
export interface EncodedRow {
  /** Token ids: prompt, then target with its end token; of a conversation several of both. */
  tokens: Int32Array
  /** First scored token: from here to the end all are scored, but for `gaps`. */
  targetStart: number
  /** [start, end, start, end, ...] of the stretches after it that are read, not scored. The last token is scored. */
  gaps?: Int32Array
  /** Tokens of the context that were cut to fit. */
  cut: number
}

/** What a row lost of its context, to be looked at. */
export interface Dropped {
  /** Index in the row's tokens before which it stood. */
  at: number
  /** Its tokens, as they were in the row before it was cut. */
  tokens: number[]
}

/** A row with what was cut from it: `cut` tokens fewer than the whole, in which the end of the context is encoded anew. */
export interface TracedRow extends EncodedRow {
  dropped: Dropped[]
}

/** A row of a conversation. */
export interface ConversationRow extends TracedRow {
  /** The exchanges whose targets are scored, from 1. */
  turns: number[]
}

/** The rows that a conversation gives. */
export interface EncodedConversation {
  rows: ConversationRow[]
  /** Exchanges, from 1, that are not learned: target and template alone do not fit. */
  tooLong: number[]
}

/** A prompt that is ready to be completed. */
export interface EncodedPrompt {
  tokens: Int32Array
  cut: number
}

/**
 * The one way to lay out a task's prompt: training, generation, scoring and evaluation all go through it.
 * In the backward task the context is the response and the target the instruction; forward, the reverse.
 */
export interface PromptTemplate {
  readonly task: Task
  /** 'chat' uses the model's chat template, 'plain' headings in plain text. */
  readonly form: 'chat' | 'plain'
  /** The words of the system line or heading that ask for the target. */
  readonly ask: string
  /** Twelve hex digits of a SHA-256 over everything that shapes the token ids: text of the template, form, task, end tokens. */
  readonly hash: string
  /** Tokens that end the target. */
  readonly stopTokens: number[]
  /**
   * Prompt and target. When longer than maxTokens the context's end is cut, never the target.
   * Many at once are fastest: `Promise.all(pairs.map((pair) => template.encodePair(pair, n)))`.
   * @throws {BtError} BT_ROW_TOO_LONG when target and template alone do not fit, BT_ROW_EMPTY for an empty target
   */
  encodePair(pair: Pair, maxTokens: number): Promise<TracedRow>
  /**
   * All rows of a conversation. A target's context are all exchanges before it and its own other side; each of them
   * stands there as the pair of a task does, so a conversation of one exchange is encodePair's row. Where that is longer
   * than maxTokens the oldest exchanges go, whole ones, then the end of its own context. The system text stays; it is read
   * in the forward task alone. Targets share a row where the template gives each the prompt that it has at generation.
   * @throws {BtError} BT_ROW_EMPTY for an empty text; BT_CHAT_TEMPLATE when the model's template takes one exchange only
   */
  encodeConversation(conversation: Conversation, maxTokens: number, turns?: Turns): Promise<EncodedConversation>
  /**
   * Prompt alone, for generation: the very tokens that stand before the target in training. When longer than maxTokens the
   * oldest exchanges go, whole ones, then the end of the context.
   * @throws {BtError} BT_ROW_TOO_LONG when the template and 16 tokens of context do not fit, BT_ROW_EMPTY for no context
   */
  encodePrompt(context: string, maxTokens: number, before?: Before): Promise<EncodedPrompt>
  /**
   * The same template with a system text in every prompt of the forward task, where a conversation of one's own gives none:
   * the tokens that such a text stands in in training. Of the backward task, and for an empty text, itself.
   */
  withSystem(system: string): Promise<PromptTemplate>
  /** The same with nothing in the context's place: what a text's probability without a context is taken after. */
  blankPrompt(before?: Before): Promise<Int32Array>
  /**
   * What stands in bt_native.json beside an adapter.
   * @param conversations rows of several exchanges are encoded too: with `conversation`
   * @throws {BtError} BT_CHAT_TEMPLATE when these are wanted and the model's template takes one exchange only
   */
  describe(conversations?: boolean): TemplateDescription
}

/** A template in words: it lies beside each adapter. */
export interface TemplateDescription {
  task: Task
  form: 'chat' | 'plain'
  ask: string
  hash: string
  /** The laid out prompt with {context} and {target} in it, to read and to show what differs. */
  text?: string
  /** How several exchanges are laid out, where rows have them; `hash` is that of one pair all the same. */
  conversation?: {
    /** Twelve hex digits, as `hash`. */
    hash: string
    /** Two exchanges laid out, with {context} and {target} in both. */
    text: string
  }
  /** System texts of the rows that an adapter was trained on, most frequent first; none where there are more than a few. */
  systems?: { text: string; rows: number }[]
}
