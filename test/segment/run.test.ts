import { spawn } from 'node:child_process'
import { appendFile, mkdir, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { Drops } from '../../src/data/drops.js'
import { readTexts } from '../../src/data/texts.js'
import { prepareCorpus, segmentCorpus } from '../../src/segment/run.js'
import type { Segment } from '../../src/segment/types.js'
import { collect, folderWith, jsonl } from '../data/fixture.js'
import { page, parse, prose, run, runOn } from './corpus.js'

const near = (seed: number) => prose(1200, seed).replace('The ', 'A certain ')

function warc(records: { url: string; body: string; type?: string; status?: string }[]): Buffer {
  const parts = records.map(({ url, body, type = 'text/html; charset=utf-8', status = '200 OK' }) => {
    const http = `HTTP/1.1 ${status}\r\nContent-Type: ${type}\r\n\r\n${body}`
    const head = `WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: ${url}\r\nContent-Type: application/http; msgtype=response\r\nContent-Length: ${Buffer.byteLength(http)}\r\n\r\n`
    return gzipSync(`${head}${http}\r\n\r\n`)
  })
  return Buffer.concat(parts)
}

describe('a corpus', () => {
  test('of every kind of file becomes rows with their lineage, in the order of the files', async () => {
    const texts = [1, 2, 3, 4, 5].map((seed) => prose(900, seed))
    const html = page(`<h2>On rivers</h2><p>${texts[1]}</p>`)
    const { rows, summary, counts } = await run({
      'a.jsonl': jsonl([
        { text: texts[0], title: 'T', url: 'https://a.example', source: 'set', license: 'CC0', id: 7 },
      ]),
      'b.html': html,
      'c.md': `# Only\n\n${texts[2]}\n`,
      'd.txt': texts[3]!,
      'e.warc.gz': warc([
        { url: 'https://w.example/1', body: page(`<h2>W</h2><p>${texts[4]}</p>`) },
        { url: 'https://w.example/2', body: page(''), status: '404 Not Found' },
        { url: 'https://w.example/3', body: 'PNG', type: 'image/png' },
      ]),
      'f.png': 'no text',
    })
    expect(rows.map(({ text }) => text)).toEqual(texts)
    expect(rows.map(({ place }) => place.replace(/^.*\//, ''))).toEqual([
      'a.jsonl:1',
      'b.html',
      'c.md',
      'd.txt',
      'e.warc.gz:1',
    ])
    expect(rows[0]).toEqual({
      id: expect.stringMatching(/^[0-9a-f]{16}$/),
      text: texts[0],
      heading: null,
      title: 'T',
      source: 'set',
      url: 'https://a.example',
      language: 'en',
      license: 'CC0',
      document: expect.stringMatching(/^[0-9a-f]{16}$/),
      place: expect.stringMatching(/a\.jsonl:1$/),
      span: [0, texts[0]!.length],
      characters: texts[0]!.length,
    })
    expect(html.slice(...rows[1]!.span)).toBe(`<p>${texts[1]}</p>`)
    expect(rows[1]).toMatchObject({ heading: 'On rivers', title: 'A page', source: 'b.html' })
    expect(rows[2]).toMatchObject({ heading: 'Only', title: 'Only' })
    expect(rows[4]).toMatchObject({ url: 'https://w.example/1', heading: 'W' })
    expect(summary).toMatchObject({
      files: 5,
      passedOver: 1,
      documents: 5,
      kept: 5,
      languages: [{ language: 'en', count: 5 }],
    })
    expect(counts).toEqual({ 'answered with 404': 1 })
  })

  test('is what generate reads, as JSONL, packed and as Parquet', async () => {
    const files = { 'a.jsonl': jsonl([1, 2, 3].map((seed) => ({ text: prose(900, seed) }))) }
    for (const name of ['out.jsonl', 'out.jsonl.gz', 'out.parquet']) {
      const { output } = await run(files, { output: join(await folderWith(), name) })
      const texts = await collect(readTexts(output, { drops: new Drops() }))
      expect(
        texts.map(({ text }) => text),
        name,
      ).toEqual([1, 2, 3].map((seed) => prose(900, seed)))
      expect(texts[0]!.extra, name).toMatchObject({
        id: expect.any(String),
        source: 'a.jsonl',
        span: [0, texts[0]!.text.length],
      })
    }
  })

  test('goes in equal parts to a folder of Parquet files', async () => {
    const output = join(await folderWith(), 'segments')
    const files = { 'a.jsonl': jsonl(Array.from({ length: 10 }, (_, seed) => ({ text: prose(900, seed) }))) }
    const { summary } = await run(files, { output, partitions: 3 })
    expect((await readdir(output)).filter((name) => name.endsWith('.parquet')).sort()).toEqual(
      [0, 1, 2].map((part) => `part-0000${part}-of-00003.parquet`),
    )
    const parts = await Promise.all(summary.outputs.map((path) => collect(readTexts(path, { drops: new Drops() }))))
    expect(parts.map((rows) => rows.length)).toEqual([3, 3, 4])
    expect(parts.flat().map(({ text }) => text)).toEqual(Array.from({ length: 10 }, (_, seed) => prose(900, seed)))
  })

  test('is yielded row by row by the API, without an output too', async () => {
    const folder = await folderWith({ 'a.jsonl': jsonl([1, 2].map((seed) => ({ text: prose(900, seed) }))) })
    const rows: Segment[] = []
    for await (const row of segmentCorpus({ input: [folder] })) rows.push(row)
    expect(rows.map(({ text }) => text)).toEqual([prose(900, 1), prose(900, 2)])
  })

  test('in parts that were cut before becomes one, with its lineage, without what the parts have in common', async () => {
    const parts = join(await folderWith(), 'parts')
    await mkdir(parts)
    const first = await run(
      { 'a.md': `# A\n\n${prose(900, 1)}\n\n# B\n\n${prose(900, 2)}` },
      { output: join(parts, '1.parquet') },
    )
    const second = await run(
      { 'b.md': `# C\n\n${prose(900, 2)}\n\n# D\n\n${prose(900, 3)}` },
      { output: join(parts, '2.jsonl') },
    )
    const { rows, counts, dropped } = await runOn([parts, first.output])
    expect(rows.map(({ heading }) => heading)).toEqual(['A', 'B', 'D'])
    expect(rows[2]).toEqual(second.rows[1])
    expect(counts).toEqual({ duplicate: 1 })
    expect(dropped[0]).toMatchObject({ heading: 'C', place: second.rows[0]!.place, span: second.rows[0]!.span })
  })

  test('has no part in its own output, where both lie in one folder', async () => {
    const folder = await folderWith({ 'a.jsonl': jsonl([{ text: prose(900, 1) }]) })
    const output = join(folder, 'out.jsonl')
    const first = await runOn([folder], { output, dropped: join(folder, 'left.jsonl') })
    expect(first.summary).toMatchObject({ files: 1, kept: 1 })
    const again = await prepareCorpus({ input: [folder], output, dropped: join(folder, 'left.jsonl') })
    expect(again.summary).toMatchObject({ files: 1, alreadyDone: true })
  })

  test('is read as far as the limit of documents goes, over files', async () => {
    const five = (first: number) => jsonl([0, 1, 2, 3, 4].map((seed) => ({ text: prose(900, first + seed) })))
    const { rows, summary } = await run({ 'a.jsonl': five(1), 'b.jsonl': five(11), 'c.jsonl': five(21) }, { limit: 7 })
    expect(rows.map(({ place }) => place.replace(/^.*\//, ''))).toEqual([
      ...[1, 2, 3, 4, 5].map((line) => `a.jsonl:${line}`),
      ...['b.jsonl:1', 'b.jsonl:2'],
    ])
    expect(summary.documents).toBe(7)
  })

  test('is named by folders, globs and files, each file once', async () => {
    const folder = await folderWith({ 'a.jsonl': jsonl([{ text: prose(900, 1) }]) })
    await mkdir(join(folder, 'deep', 'er'), { recursive: true })
    await writeFile(join(folder, 'deep', 'er', 'b.jsonl'), jsonl([{ text: prose(900, 2) }]))
    const { summary } = await runOn([join(folder, '**/*.jsonl'), folder, join(folder, 'a.jsonl')])
    expect(summary).toMatchObject({ files: 2, kept: 2 })
    await expect(runOn([join(folder, 'none*.html')])).rejects.toMatchObject({ code: 'BT_DATA_FILE' })
    await expect(runOn([join(folder, 'none.html')])).rejects.toMatchObject({ code: 'BT_DATA_FILE' })
  })

  test('is read by its column and the kind that is named', async () => {
    const html = `<div><h2>Head</h2><p>${prose(900)}</p></div>`
    const files = { 'a.jsonl': jsonl([{ text: 'other', page: html }]) }
    const { rows } = await run(files, { column: 'page' })
    expect(rows).toMatchObject([{ heading: 'Head', text: prose(900) }])
    expect((await run(files, { column: 'page', format: 'text' })).rows).toMatchObject([{ text: html }])
    await expect(run({ 'a.jsonl': jsonl([{ x: 1 }]) })).rejects.toMatchObject({
      code: 'BT_DATA_COLUMN',
      message: expect.stringMatching(/a\.jsonl:1: no column with a document/),
    })
  })
})

describe('filters', () => {
  test('count and list everything that they leave out', async () => {
    const evaluation = prose(900, 50)
    const set = await folderWith({ 'eval.jsonl': jsonl([{ instruction: 'x', response: evaluation.slice(100, 400) }]) })
    const german =
      'Ein Brot beginnt mit Mehl, Wasser, Salz und Geduld. Die Hefe frisst den Zucker, den Enzyme aus der Stärke lösen, und atmet Gas aus, das der gedehnte Kleber in Blasen hält. Wärme treibt das voran; eine kühle Küche bremst es, und viele Bäcker ziehen den langsamen Weg vor, weil Säuren und Düfte Stunden brauchen. Wer am Abend knetet, lässt den Teig über Nacht ruhen und formt morgens runde Laibe daraus. Ein heißer Stein gibt unten Kruste, Dampf hält oben die Haut weich, bis der Ofentrieb vorbei ist. Danach darf die Feuchtigkeit entweichen, sonst bleibt alles blass und zäh. Zum Schluss klopft man auf den Boden: klingt es hohl, war die Hitze lange genug im Inneren.'
    const { rows, dropped, counts } = await run(
      {
        'a.jsonl': jsonl([
          { text: prose(1200, 1) },
          { text: prose(1200, 1) },
          { text: near(1) },
          { text: 'Too short.' },
          { text: german },
          { text: evaluation },
          { text: 'buy cheap shoes '.repeat(60) },
          { text: prose(1200, 2) },
        ]),
      },
      { lang: ['en'], against: [join(set, 'eval.jsonl')], repetition: 1.5 },
    )
    expect(rows.map(({ place }) => place.replace(/^.*:/, ''))).toEqual(['1', '8'])
    expect(counts).toEqual({
      duplicate: 1,
      'near-duplicate': 1,
      'under 600 characters': 1,
      'other language': 1,
      'in the evaluation set': 1,
      'repeated n-grams': 1,
    })
    expect(dropped.map(({ place, reason }) => [place.replace(/^.*:/, ''), reason])).toEqual([
      ['2', 'duplicate'],
      ['3', 'near-duplicate'],
      ['4', 'under 600 characters'],
      ['5', 'other language'],
      ['6', 'in the evaluation set'],
      ['7', 'repeated n-grams'],
    ])
    expect(dropped[1]!.detail).toMatch(new RegExp(`^like ${rows[0]!.id} of .*a\\.jsonl:1$`))
    expect(evaluation.toLowerCase().replace(/[^\w ]/g, '')).toContain(dropped[4]!.detail!)
  })

  test('of near-duplicates leave what the measure in memory leaves, whatever the order', async () => {
    const texts = Array.from({ length: 60 }, (_, index) =>
      prose(1200, index % 20).replaceAll('river', `river${index >> 4}`),
    )
    const { NearDuplicates } = await import('../../src/data/near-duplicates.js')
    const memory = new NearDuplicates(0.8)
    const expected = texts.filter((text, index) => memory.seenAt(text, String(index)) === undefined)
    const { rows } = await run({ 'a.jsonl': jsonl(texts.map((text) => ({ text }))) }, { nearDuplicates: 0.8 })
    expect(expected.length).toBeLessThan(50)
    expect(rows.map(({ text }) => text)).toEqual(expected)
    const all = await run({ 'a.jsonl': jsonl(texts.map((text) => ({ text }))) }, { nearDuplicates: 'off' })
    expect(all.rows).toHaveLength(new Set(texts).size)
  })

  test('mask personal data in text, heading and title', async () => {
    const text = `${prose(700)} Ask jane@mail.example or call 415-555-2671.`
    const { rows, summary } = await run({ 'a.md': `# By joe@mail.example\n\n${text}` }, { maskPii: ['all'] })
    expect(rows[0]).toMatchObject({ heading: 'By [EMAIL]', title: 'By [EMAIL]' })
    expect(rows[0]!.text).toMatch(/Ask \[EMAIL\] or call \[PHONE\]\.$/)
    expect(summary.masked).toEqual({ email: 3, phone: 1 })
  })
})

describe('data that is not as it should be', () => {
  const good = { text: prose(900) }

  test('a line of ten megabytes, NUL bytes and invalid UTF-8 are counted with file and line', async () => {
    const { summary, rows } = await run({
      'a.jsonl': Buffer.concat([
        Buffer.from(`{"text": "${'x'.repeat(10_000_000)}"}\n`),
        Buffer.from(`{"text": "a\0b"}\n`),
        Buffer.from([...Buffer.from('{"text": "'), 0xff, 0xfe, ...Buffer.from('"}\n')]),
        Buffer.from('{"text": "cut off\n'),
        Buffer.from(jsonl([{ text: null }, { text: 5 }, { text: '\ud800' }, good])),
      ]),
    })
    expect(rows).toHaveLength(1)
    expect(summary.malformed.map(({ place, why }) => [place.replace(/^.*:/, ''), why])).toEqual([
      ['1', 'has 10.0 MB, at most 8.0 MB were expected'],
      ['2', 'holds a NUL byte'],
      ['3', expect.stringMatching(/^is not valid UTF-8/)],
      ['4', expect.stringMatching(/^is not JSON/)],
      ['6', '"text" holds no text'],
      ['7', expect.stringMatching(/surrogate/)],
    ])
    expect(summary.dropped).toContainEqual(expect.objectContaining({ reason: 'empty document', count: 1 }))
  })

  test('pages of ten megabytes, with NUL bytes, invalid UTF-8 or an unknown charset are counted; a known one is read', async () => {
    const latin = Buffer.from(page(`<h2>Caf\u00e9</h2><p>${prose(900)}</p>`).replace('utf-8', 'iso-8859-1'), 'latin1')
    const { summary, rows } = await run({
      'a.html': `<p>${'x'.repeat(10_000_000)}</p>`,
      'b.html': page(`<p>a\0b ${prose(900)}</p>`),
      'c.html': Buffer.from(page(`<p>\u00e9 ${prose(900)}</p>`), 'latin1'),
      'd.html': page(`<p>${prose(900)}</p>`).replace('utf-8', 'klingon'),
      'e.html': latin,
    })
    expect(rows).toMatchObject([{ heading: 'Caf\u00e9' }])
    expect(summary.malformed.map(({ why }) => why)).toEqual([
      'the file has 10.0 MB, at most 8.0 MB were expected',
      'the file holds a NUL byte',
      expect.stringMatching(/^the file is not valid UTF-8/),
      'the file names a charset that is not known: "klingon"',
    ])
  })

  test('an empty file and a damaged one are counted among others, and an error alone', async () => {
    const damaged = gzipSync(jsonl([good])).subarray(0, 60)
    const { counts, dropped } = await run({
      'a.jsonl': jsonl([good]),
      'b.html': '',
      'c.jsonl.gz': damaged,
      'd.jsonl': 'no\n',
    })
    expect(counts).toEqual({ 'empty file': 1, malformed: 2 })
    expect(dropped.map(({ place, detail }) => `${place.replace(/^.*\//, '')} ${detail}`)).toEqual([
      'b.html null',
      expect.stringMatching(/^c\.jsonl\.gz .*gzip data is damaged/),
      expect.stringMatching(/^d\.jsonl:1 is not JSON/),
    ])
    await expect(run({ 'b.html': '' })).rejects.toMatchObject({
      code: 'BT_DATA_EMPTY',
      message: expect.stringMatching(/b\.html: the file is empty/),
    })
    await expect(run({ 'c.jsonl.gz': damaged })).rejects.toMatchObject({ code: 'BT_DATA_FORMAT' })
  })

  test('a directory with the name of a file is searched; in place of an evaluation set or an output it is an error', async () => {
    const folder = await folderWith()
    await mkdir(join(folder, 'a.jsonl'))
    await writeFile(join(folder, 'a.jsonl', 'b.jsonl'), jsonl([good]))
    expect((await runOn([folder])).rows).toHaveLength(1)
    await expect(runOn([folder], { against: [join(folder, 'a.jsonl')] })).rejects.toMatchObject({
      code: 'BT_DATA_FILE',
    })
    await expect(
      runOn([join(folder, 'a.jsonl', 'b.jsonl')], { output: join(folder, 'a.jsonl') }),
    ).rejects.toMatchObject({
      code: 'BT_OUTPUT_EXISTS',
    })
    expect(await readdir(join(folder, 'a.jsonl'))).toEqual(['b.jsonl'])
  })

  test('a web archive that breaks off gives what stands before, and is counted', async () => {
    const whole = warc(
      [1, 2].map((seed) => ({ url: `https://w.example/${seed}`, body: page(`<p>${prose(900, seed)}</p>`) })),
    )
    const { rows, counts } = await run({
      'a.warc.gz': whole.subarray(0, whole.length - 100),
      'b.warc': 'this is no archive',
      'b2.warc': gunzipSync(whole).subarray(0, -600),
      'c.jsonl': jsonl([{ text: prose(900, 9) }]),
    })
    expect(rows.map(({ text }) => text)).toEqual([prose(900, 1), prose(900, 9)])
    expect(counts).toEqual({ malformed: 3, duplicate: 1 })
  })

  test('with strict, the first unreadable line, page or file is an error that names it', async () => {
    const files = { 'a.jsonl': `${jsonl([good])}no\n` }
    await expect(run(files, { strict: true })).rejects.toMatchObject({
      code: 'BT_DATA_MALFORMED',
      message: expect.stringMatching(/a\.jsonl:2: /),
    })
    await expect(run({ 'a.jsonl': jsonl([good]), 'b.html': '' }, { strict: true })).rejects.toMatchObject({
      code: 'BT_DATA_EMPTY',
    })
    const deep = { 'a.jsonl': jsonl([good]), 'b.md': '> '.repeat(5000) }
    await expect(run(deep, { strict: true })).rejects.toMatchObject({
      code: 'BT_DATA_MALFORMED',
      message: expect.stringMatching(/b\.md: /),
    })
  })

  test('hostile markup takes bounded time and memory: deep nesting, a million tags, endless attributes', async () => {
    const started = performance.now()
    const { rows, dropped } = await run({
      'a.html': page(`${'<div>'.repeat(100_000)}<h2>Deep</h2><p>${prose(900, 1)}</p>`),
      'b.html': page('<b><i></i></b>'.repeat(500_000)),
      'c.html': page(`<p ${'a="b" '.repeat(200_000)}>${prose(900, 2)}</p>`),
      'd.html': `${'<table><tr><td>'.repeat(20_000)}${prose(900, 3)}`,
      'e.html': page(`<!--${'<p>'.repeat(100_000)}`),
      'f.md': `${'> '.repeat(100_000)}x`,
      'g.md': Array.from({ length: 2000 }, (_, level) => `${' '.repeat(level * 2)}- x`).join('\n'),
      'h.md': `${'['.repeat(50_000)}\n\n# ${'*a '.repeat(2000)}\n\n${prose(900, 4)}`,
      'i.html': `<ul>${'<li><ul>'.repeat(30_000)}`,
    })
    expect(rows.map(({ place }) => place.replace(/^.*\//, ''))).toContain('c.html')
    const reasons = Object.fromEntries(
      dropped.map(({ place, reason, detail }) => [place.replace(/^.*\//, ''), detail ?? reason]),
    )
    expect(reasons['b.html']).toBe('the document has over 50,000 elements')
    expect(reasons['f.md']).toMatch(/nested/)
    expect(reasons['g.md']).toMatch(/nested/)
    expect(performance.now() - started).toBeLessThan(40_000)
  })
})

describe('work under way', () => {
  const corpusOf = (count: number) => jsonl(Array.from({ length: count }, (_, seed) => ({ text: prose(900, seed) })))

  test('goes on where it was interrupted, with the same rows', async () => {
    const files = { 'a.jsonl': corpusOf(30), 'b.jsonl': `no\n${corpusOf(60)}` }
    const corpus = await folderWith(files)
    const output = join(await folderWith(), 'out.jsonl')
    const controller = new AbortController()
    const onProgress = ({ label, done }: { label: string; done: number }) => {
      if (label === 'reading' && done > 30_000) controller.abort()
    }
    const first = await prepareCorpus({ input: [corpus], output }, { signal: controller.signal, onProgress })
    expect(first.summary.interrupted).toBe(true)
    expect(await readdir(join(output, '..'))).toEqual(['out.jsonl.work'])
    let documentsDone = 0
    const second = await prepareCorpus(
      { input: [corpus], output },
      { onStart: (start) => (documentsDone = start.documentsDone) },
    )
    await second.close()
    expect(documentsDone).toBe(first.summary.documents)
    expect(documentsDone).toBeGreaterThan(29)
    const whole = await run(files, {})
    expect((await parse<Segment>(output)).map(({ id }) => id)).toEqual(whole.rows.map(({ id }) => id))
    expect(second.summary.dropped.map(({ reason, count }) => [reason, count])).toEqual(
      whole.summary.dropped.map(({ reason, count }) => [reason, count]),
    )
    expect((await readdir(join(output, '..'))).sort()).toEqual(['out.jsonl', 'out.jsonl.meta.json'])
  })

  test('is not repeated when it is finished, and not replaced unasked', async () => {
    const corpus = await folderWith({ 'a.jsonl': corpusOf(3) })
    const { output } = await runOn([corpus])
    const dropped = output.replace('out.jsonl', 'dropped.jsonl')
    const again = await prepareCorpus({ input: [corpus], output, dropped })
    expect(again.summary).toMatchObject({ alreadyDone: true, kept: 3 })
    await expect(prepareCorpus({ input: [corpus], output, dropped, lang: ['en'] })).rejects.toMatchObject({
      code: 'BT_OUTPUT_EXISTS',
      message: expect.stringMatching(/lang/),
    })
    await writeFile(output, 'mine')
    await expect(prepareCorpus({ input: [corpus], output, dropped })).rejects.toMatchObject({
      code: 'BT_OUTPUT_EXISTS',
    })
    expect(await readFile(output, 'utf8')).toBe('mine')
    const forced = await prepareCorpus({ input: [corpus], output, dropped, force: true })
    await forced.close()
    expect(await parse(output)).toHaveLength(3)
  })

  test('begun with other options is not gone on with', async () => {
    const corpus = await folderWith({ 'a.jsonl': corpusOf(30) })
    const output = join(await folderWith(), 'out.jsonl')
    const stopped = AbortSignal.abort()
    await prepareCorpus({ input: [corpus], output }, { signal: stopped })
    await expect(prepareCorpus({ input: [corpus], output, minCharacters: 300 })).rejects.toMatchObject({
      code: 'BT_OUTPUT_CHANGED',
      message: expect.stringMatching(/minCharacters 600, not 300/),
    })
    const forced = await prepareCorpus({ input: [corpus], output, minCharacters: 300, force: true })
    await forced.close()
    expect(forced.summary.kept).toBe(30)
  })

  test('takes no output that came to be in the meantime', async () => {
    const corpus = await folderWith({ 'a.jsonl': corpusOf(3) })
    const output = join(await folderWith(), 'out.jsonl')
    await prepareCorpus({ input: [corpus], output }, { signal: AbortSignal.abort() })
    await writeFile(output, 'mine')
    await expect(prepareCorpus({ input: [corpus], output })).rejects.toMatchObject({ code: 'BT_OUTPUT_EXISTS' })
    expect(await readFile(output, 'utf8')).toBe('mine')
  })

  test('refuses a file that changes while it is read, and then reads that file alone again', async () => {
    const corpus = await folderWith({ 'a.jsonl': corpusOf(20), 'b.jsonl': corpusOf(5) })
    const output = join(await folderWith(), 'out.jsonl')
    const changing = join(corpus, 'b.jsonl')
    const pending: Promise<void>[] = []
    const onProgress = ({ done }: { done: number }) => {
      if (done > 20_000 && pending.length === 0)
        pending.push(appendFile(changing, jsonl([{ text: prose(900, 77) }])), utimes(changing, 1, 1))
    }
    await expect(prepareCorpus({ input: [corpus], output }, { onProgress })).rejects.toMatchObject({
      code: 'BT_INPUT_CHANGED',
      message: expect.stringMatching(/b\.jsonl: the file changed while it was read/),
    })
    await Promise.all(pending)
    let documentsDone = 0
    const again = await prepareCorpus(
      { input: [corpus], output },
      { onStart: (start) => (documentsDone = start.documentsDone) },
    )
    await again.close()
    expect(documentsDone).toBeGreaterThanOrEqual(20)
    expect((await parse<Segment>(output)).map(({ text }) => text)).toContain(prose(900, 77))
    expect(again.summary.kept).toBe(21)
  })

  test('forgets files that are gone', async () => {
    const corpus = await folderWith({ 'a.jsonl': corpusOf(3), 'b.jsonl': jsonl([{ text: prose(900, 99) }]) })
    const output = join(await folderWith(), 'out.jsonl')
    const controller = new AbortController()
    await prepareCorpus(
      { input: [corpus], output },
      { signal: controller.signal, onProgress: ({ label }) => label === 'comparing' && controller.abort() },
    )
    await rm(join(corpus, 'a.jsonl'))
    const again = await prepareCorpus({ input: [corpus], output })
    await again.close()
    expect((await parse<Segment>(output)).map(({ text }) => text)).toEqual([prose(900, 99)])
  })

  test('is locked against a second process, and survives a kill', async () => {
    const corpus = await folderWith({ 'a.jsonl': corpusOf(3000) })
    const output = join(await folderWith(), 'out.jsonl')
    const child = spawn(
      process.execPath,
      ['bin/bt-native.js', 'segment', '--input', corpus, '--output', output, '--json'],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    await new Promise((done) => child.stdout.once('data', done))
    await expect(prepareCorpus({ input: [corpus], output })).rejects.toMatchObject({ code: 'BT_LOCKED' })
    await new Promise((done) => setTimeout(done, 300))
    child.kill('SIGKILL')
    await new Promise((done) => child.once('exit', done))
    const again = await prepareCorpus({ input: [corpus], output })
    await again.close()
    const whole = await runOn([corpus])
    expect(whole.rows.length).toBeGreaterThan(2900)
    expect((await parse<Segment>(output)).map(({ id }) => id)).toEqual(whole.rows.map(({ id }) => id))
  })
})
