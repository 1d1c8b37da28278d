import { describe, expect, test } from 'vitest'
import { bandRows, minHash, NearDuplicates, shingleHashes } from '../../src/data/near-duplicates.js'
import { epochOrder } from '../../src/data/packing.js'

/** Words that look like words, chosen by (salt, index). */
const words = (count: number, salt: number) =>
  [...epochOrder(count, salt, 0)].map((n) => `w${(n * 7919 + salt * 31).toString(36)}`)

function jaccard(a: string, b: string): number {
  const [x, y] = [new Set(shingleHashes(a)), new Set(shingleHashes(b))]
  const both = [...x].filter((hash) => y.has(hash)).length
  return both / (x.size + y.size - both)
}

/** The text with every n-th word replaced, from the end of it, `changes` times. */
function changed(text: string[], changes: number): string {
  const copy = [...text]
  for (let change = 0; change < changes; change++) copy[copy.length - 1 - change * 9] = `new${change}`
  return copy.join(' ')
}

describe('near-duplicates', () => {
  test('are those above the threshold; others are not, and the earlier row is named', () => {
    const text = words(300, 1)
    const near = new NearDuplicates(0.85)
    expect(near.seenAt(text.join(' '), 'first')).toBeUndefined()
    expect(near.seenAt(words(300, 2).join(' '), 'unlike')).toBeUndefined()
    const slight = changed(text, 2)
    expect(jaccard(text.join(' '), slight)).toBeGreaterThan(0.93)
    expect(near.seenAt(slight, 'second')).toBe('first')
    const much = changed(text, 15)
    expect(jaccard(text.join(' '), much)).toBeLessThan(0.7)
    expect(near.seenAt(much, 'third')).toBeUndefined()
    expect(near.seenAt(much.toUpperCase().replaceAll(' ', ', '), 'fourth')).toBe('third')
  })

  test('are found without being remembered', () => {
    const near = new NearDuplicates(0.85)
    const text = words(100, 1)
    expect(near.find(text.join(' '))).toBeUndefined()
    expect(near.seenAt(text.join(' '), 'first')).toBeUndefined()
    expect(near.find(changed(text, 1))).toBe('first')
    expect(near.find('')).toBeUndefined()
  })

  test('signatures estimate the similarity without bias', () => {
    for (const changes of [1, 4, 8, 16, 30]) {
      let error = 0
      const trials = 20
      for (let trial = 0; trial < trials; trial++) {
        const text = words(300, 10 + trial)
        const [a, b] = [text.join(' '), changed(text, changes)]
        const [x, y] = [minHash(shingleHashes(a)), minHash(shingleHashes(b))]
        const equal = x.filter((value, index) => value === y[index]).length / x.length
        error += (equal - jaccard(a, b)) / trials
      }
      expect(Math.abs(error)).toBeLessThan(0.03) // 128 entries, 20 trials: a standard error of 0.01 at most
    }
  })

  test('nearly all pairs clearly above the threshold are found among hundreds of others', () => {
    const near = new NearDuplicates(0.85)
    const texts = Array.from({ length: 500 }, (_, index) => words(80, 1000 + index))
    for (const [index, text] of texts.entries()) expect(near.seenAt(text.join(' '), `${index}`)).toBeUndefined()
    const found = texts.filter((text, index) => near.seenAt(changed(text, 1), 'copy') === `${index}`)
    expect(jaccard(texts[0]!.join(' '), changed(texts[0]!, 1))).toBeGreaterThan(0.95)
    expect(found.length).toBeGreaterThan(495)
  })

  test('short texts, texts without words and languages without spaces', () => {
    const near = new NearDuplicates(0.85)
    expect(near.seenAt('What is 2+2?\n4', 'a')).toBeUndefined()
    expect(near.seenAt('What is 2+3?\n5', 'b')).toBeUndefined()
    expect(near.seenAt('what is 2 + 2 4', 'c')).toBe('a')
    expect(near.seenAt('😀 !', 'd')).toBeUndefined()
    expect(near.seenAt('🎈 ?', 'e')).toBeUndefined()
    const chinese =
      '机器学习是人工智能的一个分支它研究如何让计算机从数据中学习规律并用这些规律做出预测和决策这门学科发展很快'
    expect(near.seenAt(chinese, 'f')).toBeUndefined()
    expect(near.seenAt(`${chinese}了`, 'g')).toBe('f')
    expect(near.seenAt('深度学习使用多层神经网络来表示数据中的复杂结构需要大量计算', 'h')).toBeUndefined()
  })

  test('bands find what stands at the threshold', () => {
    for (const threshold of [0.5, 0.7, 0.85, 0.95]) {
      const rows = bandRows(threshold)
      expect(1 - (1 - threshold ** rows) ** Math.floor(128 / rows)).toBeGreaterThanOrEqual(0.99)
    }
    expect(bandRows(0.95)).toBeGreaterThan(bandRows(0.5))
  })
})
