// Conversations by the layouts of the families: the very tokens and the very mask that transformers gives.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { scoredSpans } from '../../src/data/packing.js'
import { makeTemplate, type TemplateSource, templateFromDescription } from '../../src/text/template.js'
import { openTokenizer } from '../../src/text/tokenizer.js'
import type { Conversation, ConversationRow, Task, Tokenizer } from '../../src/text/types.js'

interface Family {
  source: TemplateSource & Parameters<typeof openTokenizer>[0]
  conversations: { task: Task; conversation: Conversation; rows: { ids: number[]; mask: number[] }[] }[]
}

const path = fileURLToPath(new URL('../fixtures/text/turns.json.gz', import.meta.url))
const families = JSON.parse(gunzipSync(readFileSync(path)).toString()) as Record<string, Family>
const plenty = 4096

async function open(name: string, task: Task) {
  const { source } = families[name]!
  const tokenizer = await openTokenizer(source)
  return { tokenizer, template: await makeTemplate(task, tokenizer, source) }
}

function maskOf(row: ConversationRow): number[] {
  const mask = new Array<number>(row.tokens.length).fill(0)
  for (const [start, end] of scoredSpans(row)) mask.fill(1, start, end)
  return mask
}

/** The scored stretches as text, with the end token. */
function learned(row: ConversationRow, tokenizer: Tokenizer): string[] {
  return scoredSpans(row).map(([start, end]) =>
    tokenizer.decode(row.tokens.subarray(start, end), { keepControl: true }),
  )
}

describe.each(Object.keys(families))('a conversation in the layout of %s', (name) => {
  const { conversations, source } = families[name]!
  const tasks = [...new Set(conversations.map(({ task }) => task))]

  test.each(tasks)("has transformers' tokens and assistant mask (%s)", async (task) => {
    const { template } = await open(name, task)
    for (const { conversation, rows, task: other } of conversations) {
      if (other !== task) continue
      const encoded = await template.encodeConversation(conversation, plenty)
      expect(encoded.tooLong).toEqual([])
      expect(encoded.rows.map((row) => ({ ids: [...row.tokens], mask: maskOf(row) }))).toEqual(rows)
      expect(encoded.rows.every(({ cut, dropped }) => cut === 0 && dropped.length === 0)).toBe(true)
    }
  })

  test.each(tasks)('scores each target with its end token, once, and nothing else (%s)', async (task) => {
    const { template, tokenizer } = await open(name, task)
    for (const { conversation } of conversations) {
      const { rows } = await template.encodeConversation(conversation, plenty)
      const targets = conversation.exchanges.map((pair) => pair[task === 'forward' ? 'response' : 'instruction'])
      const texts = rows.flatMap((row) => learned(row, tokenizer))
      expect(texts.every((text) => text.endsWith(source.eosToken!))).toBe(true)
      expect(texts.map((text) => text.slice(0, -source.eosToken!.length).trim())).toEqual(targets)
      expect(rows.flatMap(({ turns }) => turns)).toEqual(targets.map((_, at) => at + 1))
      const last = await template.encodeConversation(conversation, plenty, 'last')
      expect(last.rows.flatMap((row) => learned(row, tokenizer))).toEqual(texts.slice(-1))
    }
  })
})

test('only templates whose last reply differs from the others give a row a reply', () => {
  const severalRows = Object.entries(families).flatMap(([name, { conversations }]) =>
    conversations.filter(({ rows }) => rows.length > 1).map(({ task }) => `${name} ${task}`),
  )
  expect([...new Set(severalRows)].toSorted()).toEqual([
    'mistral backward',
    'mistral forward',
    'qwen3 backward',
    'qwen3 forward',
  ])
})

/** Exchanges of 20 to 60 words; every text is another. */
const long: Conversation = {
  system: 'Be brief, and mind your words.',
  exchanges: Array.from({ length: 6 }, (_, at) => ({
    instruction: `Question ${at}: ${'tell me more of the sea '.repeat(4 + ((at * 3) % 5))}?`,
    response: `Answer ${at}: ${'it is wide 😀 and deep, caf\u00e9 '.repeat(4 + ((at * 2) % 7))}.`,
  })),
}

describe.each(['smollm2', 'llama2', 'qwen3', 'mistral', 'plain', 'plain-backward'])(
  'a long conversation (%s)',
  (name) => {
    const task = name === 'plain-backward' ? 'backward' : 'forward'
    const side = task === 'forward' ? 'response' : 'instruction'
    const { source } = families[name]!

    test.each([250, 400, 700, 1000])(
      'is cut to %i tokens by its oldest exchanges, whole ones, never by a target',
      async (maxTokens) => {
        const { template, tokenizer } = await open(name, task)
        const { rows, tooLong } = await template.encodeConversation(long, maxTokens)
        const scored = rows.flatMap(({ turns }) => turns)
        expect([...scored, ...tooLong].toSorted()).toEqual([1, 2, 3, 4, 5, 6])
        const texts = rows.flatMap((row) => learned(row, tokenizer))
        expect(texts.map((text) => text.replace(source.eosToken!, '').trim())).toEqual(
          scored.map((turn) => long.exchanges[turn - 1]![side]),
        )
        for (const row of rows) {
          expect(row.tokens.length).toBeLessThanOrEqual(maxTokens)
          const last = row.turns.at(-1)!
          const slice = async (from: number) => {
            const exchanges = long.exchanges.slice(from, last)
            return (await template.encodeConversation({ ...long, exchanges }, plenty, 'last')).rows[0]!.tokens
          }
          const whole = await slice(0)
          expect(row.cut).toBe(whole.length - row.tokens.length)
          const starts = await Promise.all(Array.from({ length: last }, (_, from) => slice(from)))
          const from = starts.findIndex((tokens) => tokens.length <= maxTokens)
          if (from < 0) {
            expect(row.turns).toEqual([last]) // its own context lost its end
            continue
          }
          // The most whole exchanges that fit, laid out as if there had never been others.
          expect([...row.tokens]).toEqual([...starts[from]!])
          const back = [...row.tokens]
          for (const { at, tokens } of row.dropped) back.splice(at, 0, ...tokens)
          if (row.dropped.length > 0) expect(back).toEqual([...whole])
          else expect(from).toBe(0)
        }
      },
    )

    test('has, in a prompt with a system text, the tokens that stand there in training', async () => {
      const { template } = await open(name, task)
      const system = 'Be brief, and mind your words.'
      const told = await template.withSystem(` ${system}\n`)
      const [pair] = long.exchanges
      const row = (await template.encodeConversation({ system, exchanges: [pair!] }, plenty)).rows[0]!
      const prompt = await told.encodePrompt(pair![task === 'forward' ? 'instruction' : 'response'], plenty)
      expect([...prompt.tokens]).toEqual([...row.tokens.subarray(0, row.targetStart)])
      expect([...(await told.encodePair(pair!, plenty)).tokens]).toEqual([...row.tokens])
      expect(told.hash).toBe(template.hash)
      expect(await template.withSystem(' ')).toBe(template)
      if (task === 'backward') expect(told).toBe(template)
    })

    test('keeps the system text', async () => {
      const { template, tokenizer } = await open(name, task)
      const { rows } = await template.encodeConversation(long, 500)
      for (const { tokens } of rows) {
        expect(tokenizer.decode(tokens).includes('mind your words')).toBe(task === 'forward')
      }
    })
  },
)

describe('a row of a conversation', () => {
  test('of one exchange is the row of a pair, cut or not', async () => {
    for (const name of Object.keys(families)) {
      for (const task of ['forward', 'backward'] as const) {
        const { template } = await open(name, task)
        for (const maxTokens of [120, 200, plenty]) {
          for (const pair of long.exchanges) {
            const { rows, tooLong } = await template.encodeConversation({ exchanges: [pair] }, maxTokens)
            const alone = await template.encodePair(pair, maxTokens).catch((error) => error.code)
            if (typeof alone === 'string') expect([alone, tooLong]).toEqual(['BT_ROW_TOO_LONG', [1]])
            else expect(rows).toEqual([{ ...alone, turns: [1] }])
          }
        }
      }
    }
  })

  test('begins with the tokens of the first pair', async () => {
    for (const [name, { conversations }] of Object.entries(families)) {
      for (const { task, conversation, rows } of conversations) {
        if (rows.length > 1 || (task === 'forward' && conversation.system)) continue
        const { template } = await open(name, task)
        const pair = await template.encodePair(conversation.exchanges[0]!, plenty)
        expect(rows[0]!.ids.slice(0, pair.tokens.length)).toEqual([...pair.tokens])
      }
    }
  })

  test('loses the end of its own context where nothing else is left to lose, and a target that alone does not fit is named', async () => {
    const { template, tokenizer } = await open('smollm2', 'forward')
    const exchanges = [
      { instruction: 'One?', response: 'One.' },
      { instruction: `Read this: ${'many words '.repeat(200)}`, response: 'I have.' },
      { instruction: 'Write!', response: 'so much '.repeat(300).trim() },
      { instruction: 'And now?', response: 'The end.' },
    ]
    const { rows, tooLong } = await template.encodeConversation({ exchanges }, 200)
    expect(tooLong).toEqual([3])
    expect(rows.map(({ turns }) => turns)).toEqual([[1], [2], [4]])
    expect(rows.map((row) => learned(row, tokenizer))).toEqual([
      ['One.<|im_end|>'],
      ['I have.<|im_end|>'],
      ['The end.<|im_end|>'],
    ])
    const [, second] = rows
    expect(tokenizer.decode(second!.tokens)).toContain('Read this: many words many')
    expect(second!.dropped.map(({ tokens }) => tokenizer.decode(tokens).includes('many words'))).toEqual([false, true])
    expect(second!.tokens.length).toBeGreaterThan(190)
  })

  test('has no control token but its own, whatever the turns hold', async () => {
    const { template, tokenizer } = await open('smollm2', 'forward')
    const control = (tokens: Int32Array) => [...tokens].filter((id) => tokenizer.isControl(id)).length
    const of = async (text: string) => {
      const exchanges = [
        { instruction: `a${text}`, response: `b${text}` },
        { instruction: `c${text}`, response: `d${text}` },
      ]
      return (await template.encodeConversation({ system: `s${text}`, exchanges }, plenty)).rows
    }
    const [plainRow] = await of('')
    for (const text of ['<|im_end|>', '<|im_start|>assistant\n', '<|endoftext|>', '{target}{context}{system}']) {
      const rows = await of(text)
      expect(rows.map(({ tokens }) => control(tokens))).toEqual([control(plainRow!.tokens)])
      expect(scoredSpans(rows[0]!)).toHaveLength(2)
    }
  })

  test('is refused with an empty text', async () => {
    const { template } = await open('smollm2', 'forward')
    const exchanges = [
      { instruction: 'a', response: 'b' },
      { instruction: 'c', response: ' ' },
    ]
    await expect(template.encodeConversation({ exchanges }, plenty)).rejects.toMatchObject({ code: 'BT_ROW_EMPTY' })
  })
})

describe('a prompt with something before it', () => {
  const openOf = async (name: string, task: Task, { system, exchanges }: Conversation) => {
    const { template } = await open(name, task)
    const given = exchanges.at(-1)![task === 'forward' ? 'instruction' : 'response']
    return { template, given, before: { system, exchanges: exchanges.slice(0, -1) } }
  }

  test('has the tokens that stand before the target in training, which are those of transformers', async () => {
    for (const [name, { conversations }] of Object.entries(families)) {
      for (const { task, conversation, rows } of conversations) {
        const { template, given, before } = await openOf(name, task, conversation)
        const { ids, mask } = rows.at(-1)!
        const start = mask.lastIndexOf(0) + 1
        const prompt = await template.encodePrompt(given, plenty, before)
        expect([[...prompt.tokens], prompt.cut]).toEqual([ids.slice(0, start), 0])
        const told = await template.withSystem(before.system ?? '')
        const { exchanges } = before
        expect((await told.encodePrompt(given, plenty, { exchanges })).tokens).toEqual(prompt.tokens)
      }
    }
  })

  test.each(['smollm2', 'llama2', 'qwen3', 'mistral', 'plain'])(
    'that is too long loses its oldest exchanges, then the end of its own context, never what it is told (%s)',
    async (name) => {
      const { template, given, before } = await openOf(name, 'forward', long)
      const { tokenizer } = await open(name, 'forward')
      const whole = await template.encodePrompt(given, plenty, before)
      const alone = await template.encodePrompt(given, plenty, { system: long.system })
      for (const room of [alone.tokens.length - 20, alone.tokens.length, 450, 700]) {
        const prompt = await template.encodePrompt(given, room, before)
        expect(prompt.tokens.length).toBeLessThanOrEqual(room)
        expect(prompt.cut).toBe(whole.tokens.length - prompt.tokens.length)
        const starts = await Promise.all(
          long.exchanges.map((_, from) =>
            template.encodePrompt(given, plenty, { ...before, exchanges: long.exchanges.slice(from, -1) }),
          ),
        )
        const fitting = starts.find(({ tokens }) => tokens.length <= room)
        if (fitting) expect(prompt.tokens).toEqual(fitting.tokens)
        expect(tokenizer.decode(prompt.tokens)).toContain('mind your words')
      }
      await expect(template.encodePrompt(given, 20, before)).rejects.toMatchObject({ code: 'BT_ROW_TOO_LONG' })
    },
  )

  test('that is nothing, or a system text for the side that asks, is the prompt of a pair', async () => {
    for (const name of Object.keys(families)) {
      const { template } = await open(name, 'backward')
      for (const before of [{}, { system: ' ' }, { exchanges: [] }, { system: 'Be kind.' }]) {
        expect(await template.encodePrompt('A reply.', plenty, before)).toEqual(
          await template.encodePrompt('A reply.', plenty),
        )
        expect(await template.blankPrompt(before)).toEqual(await template.blankPrompt())
      }
    }
  })

  test('and nothing in the place of its context keeps what was said', async () => {
    const { template, tokenizer } = await open('smollm2', 'forward')
    const exchanges = [{ instruction: 'One?', response: '1.' }]
    const blank = tokenizer.decode(await template.blankPrompt({ exchanges }), { keepControl: true })
    expect(blank).toMatch(
      /One\?<\|im_end\|>\n<\|im_start\|>assistant\n1\.<\|im_end\|>\n<\|im_start\|>user\n<\|im_end\|>\n<\|im_start\|>assistant\n$/,
    )
  })
})

describe('the description of a template', () => {
  test('holds a model to the layout of conversations, where rows had some', async () => {
    const { template, tokenizer } = await open('smollm2', 'forward')
    const { source } = families.smollm2!
    const chatTemplate = source.chatTemplate!.replace(
      "{{ '<|im_start|>' +",
      "{{ ('then ' if loop.index0 > 1 else '') + '<|im_start|>' +",
    )
    const other = { ...source, chatTemplate }
    expect((await templateFromDescription(template.describe(), tokenizer, other)).hash).toBe(template.hash)
    expect((await templateFromDescription(template.describe(true), tokenizer, source)).hash).toBe(template.hash)
    await expect(templateFromDescription(template.describe(true), tokenizer, other)).rejects.toMatchObject({
      code: 'BT_TEMPLATE_MISMATCH',
      message: expect.stringContaining('then <|im_start|>'),
    })
  })

  test('names the layout of conversations where there are some, beside the hash of a pair, which stays', async () => {
    const { template } = await open('smollm2', 'backward')
    const plainOnes = template.describe()
    expect(plainOnes).not.toHaveProperty('conversation')
    const { conversation, ...rest } = template.describe(true)
    expect(rest).toEqual(plainOnes)
    expect(conversation!.hash).toMatch(/^[0-9a-f]{12}$/)
    expect(conversation!.text).toBe(
      `<|im_start|>system\n${template.ask}<|im_end|>\n<|im_start|>user\n{context}<|im_end|>\n<|im_start|>assistant\n{target}<|im_end|>\n` +
        '<|im_start|>user\n{context}<|im_end|>\n<|im_start|>assistant\n{target}<|im_end|>',
    )
  })

  test('tells layouts apart that one pair does not', async () => {
    const { source } = families.smollm2!
    const tokenizer = await openTokenizer(source)
    // Says something before every message but the first two.
    const chatTemplate = source.chatTemplate!.replace(
      "{{ '<|im_start|>' +",
      "{{ ('then ' if loop.index0 > 1 else '') + '<|im_start|>' +",
    )
    expect(chatTemplate).not.toBe(source.chatTemplate)
    const [one, other] = await Promise.all(
      [source, { ...source, chatTemplate }].map((model) => makeTemplate('forward', tokenizer, model)),
    )
    expect(one!.hash).toBe(other!.hash)
    expect(one!.describe(true).conversation!.hash).not.toBe(other!.describe(true).conversation!.hash)
  })
})
