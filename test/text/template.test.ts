import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, test } from 'vitest'
import { openChat } from '../../src/text/chat.js'
import { makeTemplate, templateFromDescription } from '../../src/text/template.js'
import { openTokenizer } from '../../src/text/tokenizer.js'
import type { Pair, PromptTemplate, Task } from '../../src/text/types.js'
import { chats, type Opened, openLlama, openSmollm, seedPath, skipped } from './fixtures.js'
import { randomTexts, tinySource } from './texts.js'

const pair: Pair = { instruction: 'Name a colour.', response: 'Blue, as the sky is on most days without clouds.' }
const plenty = 4096

describe.skipIf(skipped)('a prompt template', () => {
  let smollm: Opened
  let llama: Opened
  beforeAll(async () => {
    smollm = await openSmollm()
    llama = await openLlama()
  })
  const make = (task: Task, options?: Parameters<typeof makeTemplate>[3], model = smollm) =>
    makeTemplate(task, model.tokenizer, model.source, options)
  const show = (tokens: ArrayLike<number>, model = smollm) => model.tokenizer.decode(tokens, { keepControl: true })

  test('backward asks in the system line, gives the response and wants the instruction', async () => {
    const template = await make('backward')
    const row = await template.encodePair(pair, plenty)
    expect(show(row.tokens)).toBe(
      `<|im_start|>system\n${template.ask}<|im_end|>\n<|im_start|>user\n${pair.response}<|im_end|>\n` +
        `<|im_start|>assistant\n${pair.instruction}<|im_end|>`,
    )
    expect(show(row.tokens.subarray(row.targetStart))).toBe(`${pair.instruction}<|im_end|>`)
    expect(template.stopTokens).toEqual([2])
    expect(row.cut).toBe(0)
  })

  test('forward gives the instruction, wants the response, and says nothing of its own', async () => {
    const template = await make('forward')
    const row = await template.encodePair(pair, plenty)
    expect(template.ask).toBe('')
    expect(show(row.tokens)).toMatch(/<\|im_start\|>user\nName a colour\.<\|im_end\|>\n<\|im_start\|>assistant\nBlue, /)
    expect(show(row.tokens.subarray(row.targetStart))).toBe(`${pair.response}<|im_end|>`)
  })

  test.each(['smollm2', 'llama2'] as const)(
    "has the ids of the %s model's chat, in training and in generation",
    async (name) => {
      const model = name === 'smollm2' ? smollm : llama
      const source = { ...model.source, chatTemplate: chats[name].template }
      const chat = await openChat(model.tokenizer, source)
      const template = await makeTemplate('backward', model.tokenizer, source)
      const prompt = [
        { role: 'system', content: template.ask },
        { role: 'user', content: pair.response },
      ] as const
      const generation = await chat.encode([...prompt], { addGenerationPrompt: true })
      const whole = await chat.encode([...prompt, { role: 'assistant', content: pair.instruction }])
      const row = await template.encodePair(pair, plenty)
      expect([...(await template.encodePrompt(pair.response, plenty)).tokens]).toEqual(generation)
      expect([...row.tokens]).toEqual(whole.slice(0, whole.lastIndexOf(template.stopTokens[0]!) + 1))
      expect(row.targetStart).toBe(generation.length)
    },
  )

  test('trains on the very prompts that it generates from', async () => {
    for (const form of ['chat', 'plain'] as const) {
      for (const task of ['backward', 'forward'] as const) {
        const template = await make(task, { form })
        const row = await template.encodePair(pair, plenty)
        const prompt = await template.encodePrompt(task === 'backward' ? pair.response : pair.instruction, plenty)
        expect(row.tokens.subarray(0, row.targetStart)).toEqual(prompt.tokens)
      }
    }
  })

  test('has no control token but its own, whatever the row holds', async () => {
    const texts = randomTexts(200, 11, [
      '<|im_end|>',
      '<|im_start|>assistant\n',
      '<|endoftext|>',
      '{context}',
      '{target}',
    ])
    const template = await make('backward')
    const control = (row: Int32Array) => [...row].filter((id) => smollm.tokenizer.isControl(id))
    const harmless = control((await template.encodePair(pair, plenty)).tokens)
    for (let i = 0; i + 1 < texts.length; i += 2) {
      const row = { instruction: `x${texts[i]}`, response: `y${texts[i + 1]}` }
      expect(control((await template.encodePair(row, plenty)).tokens)).toEqual(harmless)
    }
  })

  test('trims instruction and response, and refuses empty ones', async () => {
    const template = await make('backward')
    const padded = { instruction: `\n ${pair.instruction}\t`, response: `\ufeff${pair.response}\u0085\n` }
    expect(await template.encodePair(padded, plenty)).toEqual(await template.encodePair(pair, plenty))
    for (const [column, row] of [
      ['instruction', { ...pair, instruction: ' \n' }],
      ['response', { ...pair, response: '' }],
    ] as const) {
      await expect(template.encodePair(row, plenty)).rejects.toMatchObject({
        code: 'BT_ROW_EMPTY',
        message: `the ${column} is empty`,
      })
    }
    await expect(template.encodePrompt('  ', plenty)).rejects.toMatchObject({ code: 'BT_ROW_EMPTY' })
  })

  describe.each(['chat', 'plain'] as const)('that cuts (%s form)', (form) => {
    const long = {
      instruction: 'Tell me of the sea.',
      response: 'The sea is wide 😀 and 你好 deep. '.repeat(60).trim(),
    }
    let template: PromptTemplate
    let whole: Awaited<ReturnType<PromptTemplate['encodePair']>>
    beforeAll(async () => {
      template = await make('backward', { form })
      whole = await template.encodePair(long, plenty)
    })
    const text = (tokens: ArrayLike<number>) => show(tokens)

    test('takes the end of the context, never the target, and counts what it took', async () => {
      for (const maxTokens of [100, 101, 102, 103, 300]) {
        const row = await template.encodePair(long, maxTokens)
        expect(row.tokens.length).toBeLessThanOrEqual(maxTokens)
        expect(row.tokens.length).toBeGreaterThan(maxTokens - 12)
        expect(row.cut).toBe(whole.tokens.length - row.tokens.length)
        expect(row.tokens.subarray(row.targetStart)).toEqual(whole.tokens.subarray(whole.targetStart))
        expect(text(row.tokens)).not.toContain('\ufffd')
      }
    })

    test('says what it took and where that stood', async () => {
      for (const maxTokens of [100, 101, 102, 103, 300]) {
        const { tokens, cut, dropped } = await template.encodePair(long, maxTokens)
        expect(dropped).toHaveLength(1)
        const { at, tokens: lost } = dropped[0]!
        // Between the two there may be a token or two that are of the row alone: its context's new end.
        const after = whole.tokens.subarray(at + lost.length)
        expect(tokens.subarray(0, at)).toEqual(whole.tokens.subarray(0, at))
        expect(tokens.subarray(tokens.length - after.length)).toEqual(after)
        expect([...whole.tokens.subarray(at, at + lost.length)]).toEqual(lost)
        expect(lost.length - cut).toBeGreaterThanOrEqual(0)
        expect(lost.length - cut).toBeLessThan(4)
      }
      expect(whole.dropped).toEqual([])
    })

    test('leaves the prompt of the text that it kept', async () => {
      const { tokens } = await template.encodePrompt(long.response, 120)
      const shown = text(tokens)
      const start = shown.indexOf('The sea is wide')
      const kept = shown.slice(
        start,
        shown.search(form === 'chat' ? /<\|im_end\|>\n<\|im_start\|>assistant/ : /\n\n### Ins/),
      )
      expect(long.response.startsWith(kept)).toBe(true)
      expect(await template.encodePrompt(kept, 120)).toEqual({ tokens, cut: 0 })
    })

    test('cuts a prompt as the pair whose target takes up the rest', async () => {
      const row = await template.encodePair(long, 150)
      const target = row.tokens.length - row.targetStart
      const prompt = await template.encodePrompt(long.response, 150 - target)
      expect(prompt.tokens).toEqual(row.tokens.subarray(0, row.targetStart))
      expect(prompt.cut).toBe(row.cut)
    })

    test('says with numbers when 16 tokens of context do not fit', async () => {
      const target = whole.tokens.length - whole.targetStart
      const bare = (await template.encodePrompt('x', plenty)).tokens.length - 1
      const fits = bare + target + 20
      expect((await template.encodePair(long, fits)).tokens.length).toBeLessThanOrEqual(fits)
      await expect(template.encodePair(long, bare + target + 15)).rejects.toMatchObject({
        code: 'BT_ROW_TOO_LONG',
        message: expect.stringMatching(
          new RegExp(`target's ${target} tokens, .* ${bare} and at least 16 .* fit into ${bare + target + 15}$`),
        ),
      })
      await expect(template.encodePrompt(long.response, bare + 15)).rejects.toMatchObject({ code: 'BT_ROW_TOO_LONG' })
    })
  })

  test('refuses to cut a context of fewer than 16 tokens', async () => {
    const template = await make('backward')
    const whole = await template.encodePair(pair, plenty)
    await expect(template.encodePair(pair, whole.tokens.length - 1)).rejects.toMatchObject({ code: 'BT_ROW_TOO_LONG' })
    expect(await template.encodePair(pair, whole.tokens.length)).toEqual(whole)
  })

  test('in plain form has headings, begins with bos and ends with eos', async () => {
    const { chatTemplate: _, ...source } = { ...llama.source }
    const template = await makeTemplate('backward', llama.tokenizer, source)
    const row = await template.encodePair(pair, plenty)
    expect(template.form).toBe('plain')
    expect(show(row.tokens, llama)).toBe(
      `<s> ${template.ask}\n\n### Response\n${pair.response}\n\n### Instruction\n${pair.instruction}</s>`.replace(
        '<s> ',
        '<s>',
      ),
    )
    expect(template.stopTokens).toEqual([2])
    const forward = await makeTemplate('forward', llama.tokenizer, { ...source, addBos: false })
    expect(show((await forward.encodePair(pair, plenty)).tokens, llama)).toBe(
      `### Instruction\n${pair.instruction}\n\n### Response\n${pair.response}</s>`,
    )
  })

  test('puts the ask before the context where the chat template takes no system message', async () => {
    const chatTemplate =
      "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" +
      "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] | trim + ' [/INST]' }}" +
      "{% else %}{{ ' ' + m['content'] | trim + eos_token }}{% endif %}{% endfor %}"
    const source = { ...llama.source, chatTemplate }
    const template = await makeTemplate('backward', llama.tokenizer, source, { ask: 'Ask.' })
    const row = await template.encodePair(pair, plenty)
    expect(show(row.tokens, llama)).toBe(`<s>[INST] Ask.\n\n${pair.response} [/INST] ${pair.instruction}</s>`)
    // The space before the target is the target's: generation goes on after "[/INST]".
    const generation = await (await openChat(llama.tokenizer, source)).encode(
      [{ role: 'user', content: `Ask.\n\n${pair.response}` }],
      { addGenerationPrompt: true },
    )
    expect([...row.tokens.subarray(0, row.targetStart)]).toEqual(generation)
    expect(llama.tokenizer.tokenText(row.tokens[row.targetStart]!)).toBe('▁Name')
  })

  test("ends the target with eos where the chat template's turns have no end token", async () => {
    const chatTemplate = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\\n' }}{% endfor %}"
    const template = await makeTemplate('forward', smollm.tokenizer, { ...smollm.source, chatTemplate })
    const row = await template.encodePair(pair, plenty)
    expect(show(row.tokens)).toBe(`user: ${pair.instruction}\nassistant: ${pair.response}<|im_end|>`)
  })

  test('is refused for a model without any end token, and a chat form for one without a chat template', async () => {
    const source = { ...tinySource({ scheme: 'never' }), eosToken: undefined, eosIds: [] }
    const tokenizer = await openTokenizer(source)
    await expect(makeTemplate('backward', tokenizer, source)).rejects.toMatchObject({ code: 'BT_NO_EOS' })
    await expect(makeTemplate('backward', tokenizer, source, { form: 'chat' })).rejects.toMatchObject({
      code: 'BT_CHAT_TEMPLATE',
    })
  })

  test('has a hash that tells task, form, ask, template and vocabulary apart, and nothing else', async () => {
    const templates = await Promise.all([
      make('backward'),
      make('forward'),
      make('backward', { form: 'plain' }),
      make('backward', { ask: 'Other words.' }),
      make('backward', { form: 'plain' }, llama),
      makeTemplate('backward', smollm.tokenizer, {
        ...smollm.source,
        chatTemplate: chats.smollm2.template.replaceAll('<|im_end|>', '<|endoftext|>'),
      }),
    ])
    const hashes = templates.map(({ hash }) => hash)
    expect(new Set(hashes).size).toBe(hashes.length)
    expect(hashes[0]).toMatch(/^[0-9a-f]{12}$/)
    expect((await make('backward')).hash).toBe(hashes[0])
  })

  test('does not change with the day', async () => {
    const dated = `{{ strftime_now('%d %b %Y') }}${chats.smollm2.template}`
    const template = await makeTemplate('forward', smollm.tokenizer, { ...smollm.source, chatTemplate: dated })
    expect(template.describe().text).toContain('26 Jul 2024')
  })

  test('comes back from its description, or the mismatch is shown', async () => {
    const template = await make('backward', { ask: 'Guess the question.' })
    const stored = JSON.parse(JSON.stringify(template.describe()))
    expect((await templateFromDescription(stored, smollm.tokenizer, smollm.source)).hash).toBe(template.hash)
    const changed = {
      ...smollm.source,
      chatTemplate: chats.smollm2.template.replace("'<|im_start|>' + m", "'<|im_start|>the ' + m"),
    }
    const other = await makeTemplate('backward', smollm.tokenizer, changed, { ask: template.ask })
    const failure = templateFromDescription(stored, smollm.tokenizer, changed)
    await expect(failure).rejects.toMatchObject({ code: 'BT_TEMPLATE_MISMATCH' })
    await expect(failure).rejects.toThrow(template.hash)
    await expect(failure).rejects.toThrow(other.hash)
    await expect(failure).rejects.toThrow(/<\|im_start\|>the assistant\\n\{target\}/)
  })

  test('encodes thousands of rows in seconds', async () => {
    const rows = readFileSync(seedPath, 'utf8').trimEnd().split('\n').slice(0, 1000)
    const pairs = rows.map((row) => JSON.parse(row) as Pair)
    const template = await make('backward')
    const start = performance.now()
    const encoded = await Promise.all(pairs.map((row) => template.encodePair(row, 2048)))
    console.info(`${Math.round((pairs.length / (performance.now() - start)) * 1000)} rows/s`)
    expect(encoded.every(({ tokens, targetStart }) => tokens.length > targetStart)).toBe(true)
  })
})
