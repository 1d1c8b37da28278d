import { beforeAll, describe, expect, test } from 'vitest'
import { type ChatMessage, openChat } from '../../src/text/chat.js'
import { chats, type Opened, openLlama, openSmollm, openSmollmGguf, skipped, skippedGguf } from './fixtures.js'
import { randomTexts } from './texts.js'

describe.each([
  ['SmolLM2 from tokenizer.json', 'smollm2', skipped, openSmollm],
  ['SmolLM2 from GGUF', 'smollm2', skippedGguf, openSmollmGguf],
  ['Llama 2 from SentencePiece', 'llama2', skipped, openLlama],
] as const)('a chat with the tokenizer of %s', (_, name, reason, open) => {
  if (reason) return test.skip(reason)

  test.each([true, false])("has transformers' ids (add_generation_prompt %s)", async (addGenerationPrompt) => {
    const { tokenizer, source } = await open()
    const { template, rows } = chats[name]
    const chat = await openChat(tokenizer, { ...source, chatTemplate: template })
    for (const { messages, ids } of rows) {
      expect(await chat.encode(messages, { addGenerationPrompt })).toEqual(ids[`${addGenerationPrompt}`])
    }
  })
})

test.skipIf(skippedGguf)("the GGUF file's chat template is the one that the fixture was made with", async () => {
  expect((await openSmollmGguf()).source.chatTemplate).toBe(chats.smollm2.template)
})

describe.skipIf(skipped)('a chat template', () => {
  let model: Opened
  beforeAll(async () => {
    model = await openSmollm()
  })
  const turn = "'<|im_start|>' + message['role'] + '\\n'"
  const loop = (body: string, before = '') => `${before}{% for message in messages %}${body}{% endfor %}`
  const open = (chatTemplate: string, now?: Date) => openChat(model.tokenizer, { ...model.source, chatTemplate }, now)
  const decoded = async (template: string, messages: ChatMessage[], now?: Date) =>
    model.tokenizer.decode(await (await open(template, now)).encode(messages), { keepControl: true })

  test('that trims contents trims the real ones', async () => {
    const template = loop(`{{ ${turn} + message['content'] | trim + '<|im_end|>' }}`)
    expect(await decoded(template, [{ role: 'user', content: ' \n a b \u0085 ' }])).toBe(
      '<|im_start|>user\na b<|im_end|>',
    )
  })

  test('that trims one side only, or one role only, trims no more', async () => {
    const left = loop(`{{ ${turn} + message['content'].lstrip() + '<|im_end|>' }}`)
    expect(await decoded(left, [{ role: 'user', content: '  a  ' }])).toBe('<|im_start|>user\na  <|im_end|>')
    const role = loop(
      `{% if message['role'] == 'user' %}{{ message['content'].strip() }}{% else %}{{ message['content'] }}{% endif %}`,
    )
    const messages: ChatMessage[] = [
      { role: 'user', content: ' a ' },
      { role: 'assistant', content: ' b ' },
    ]
    expect(await decoded(role, messages)).toBe('a b ')
  })

  test('that surrounds trimmed contents with spaces keeps its own', async () => {
    const template = loop(`{{ '[INST] ' + message['content'] | trim + ' [/INST]' }}`)
    expect(await decoded(template, [{ role: 'user', content: '  a  ' }])).toBe('[INST] a [/INST]')
  })

  test('never takes a content for its own text', async () => {
    const { tokenizer } = model
    const chat = await open(chats.smollm2.template)
    const control = (row: number[]) => row.filter((id) => tokenizer.isControl(id))
    const harmless = control(
      await chat.encode([
        { role: 'user', content: 'x' },
        { role: 'assistant', content: 'y' },
      ]),
    )
    const texts = randomTexts(300, 3, ['<|im_start|>', '<|im_end|>', 'BTCONTENT1END', '{{ messages }}'])
    for (const content of texts) {
      const messages: ChatMessage[] = [
        { role: 'user', content },
        { role: 'assistant', content: texts[0]! },
      ]
      expect(control(await chat.encode(messages))).toEqual(harmless)
    }
  })

  test('that refuses or drops a system message is found out', async () => {
    const refusing = `{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}`
    const body = `{{ ${turn} + message['content'] + '<|im_end|>' }}`
    expect((await open(loop(body, refusing))).acceptsSystem).toBe(false)
    expect((await open(loop(`{% if message['role'] != 'system' %}${body}{% endif %}`))).acceptsSystem).toBe(false)
    expect((await open(loop(body))).acceptsSystem).toBe(true)
  })

  test('that rewrites, repeats or drops contents is refused', async () => {
    const messages: ChatMessage[] = [{ role: 'user', content: 'x' }]
    for (const body of [
      "{{ message['content'] | upper }}",
      "{{ message['content'] | tojson }}",
      "{{ message['content'] + message['content'] }}",
      "{{ message['content'].split('|')[0] }}",
      'nothing',
    ]) {
      const chat = await open(loop(body))
      await expect(chat.encode(messages)).rejects.toMatchObject({ code: 'BT_CHAT_TEMPLATE' })
    }
  })

  test('that does not parse is refused', async () => {
    await expect(open('{% for %}')).rejects.toMatchObject({ code: 'BT_CHAT_TEMPLATE' })
  })

  test('gets the day it is given', async () => {
    const template = `{{ strftime_now('%d %b %Y, %-d/%m') }}${loop("{{ message['content'] }}")}`
    const messages: ChatMessage[] = [{ role: 'user', content: '!' }]
    expect(await decoded(template, messages, new Date('2025-03-09T12:00:00Z'))).toBe('09 Mar 2025, 9/03!')
  })

  test("sees transformers' names", async () => {
    const template = `{{ bos_token }}${loop("{{ message['content'] + eos_token }}")}{% if tools is none %}.{% endif %}`
    expect(await decoded(template, [{ role: 'user', content: 'x' }])).toBe('<|im_start|>x<|im_end|>.')
  })
})
