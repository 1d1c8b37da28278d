import { describe, expect, test } from 'vitest'
import { epochOrder } from '../../src/data/packing.js'
import { splitValidation } from '../../src/data/split.js'

const rows = Array.from({ length: 4000 }, (_, index) => ({ instruction: `Question ${index}?`, response: `${index}` }))
const asked = (list: readonly { instruction: string }[]) => list.map((row) => row.instruction)

describe('splitValidation', () => {
  test('a row keeps its side whatever the order and whatever is added or taken away', () => {
    const { train, validation } = splitValidation(rows, 0.1, 7)
    const held = new Set(asked(validation))
    const shuffled = [...epochOrder(rows.length, 1, 1)].map((index) => rows[index]!)
    expect(new Set(asked(splitValidation(shuffled, 0.1, 7).validation))).toEqual(held)
    const more = [...rows.slice(2000), { instruction: 'A new one', response: '' }]
    for (const row of splitValidation(more, 0.1, 7).train) expect(held.has(row.instruction)).toBe(false)
    expect(train.length + validation.length).toBe(rows.length)
  })

  test('holds back the share asked for, and another seed holds back others', () => {
    const { validation } = splitValidation(rows, 0.1, 7)
    expect(validation.length).toBeGreaterThan(400 - 4 * 19) // four standard deviations
    expect(validation.length).toBeLessThan(400 + 4 * 19)
    const other = new Set(asked(splitValidation(rows, 0.1, 8).validation))
    expect(asked(validation).filter((text) => other.has(text)).length).toBeLessThan(100)
    expect(splitValidation(rows, 0, 7).validation).toEqual([])
  })

  test('a larger share holds back the same rows and more', () => {
    const large = new Set(asked(splitValidation(rows, 0.2, 7).validation))
    for (const text of asked(splitValidation(rows, 0.1, 7).validation)) expect(large.has(text)).toBe(true)
  })

  test('rows with the same instruction stand on one side, however it is spelled', () => {
    const spelled = rows.flatMap(({ instruction }) => [
      { instruction, response: 'a' },
      { instruction: `  ${instruction.toUpperCase().replace(' ', '\r\n ')}`, response: 'b' },
    ])
    const { validation } = splitValidation(spelled, 0.1, 7)
    expect(validation.filter((row) => row.response === 'a')).toHaveLength(validation.length / 2)
  })

  test('each side is in the order given, and a share outside 0 to 1 is refused', () => {
    const { train } = splitValidation(rows, 0.1, 7)
    const inTrain = new Set(asked(train))
    expect(asked(train)).toEqual(asked(rows).filter((text) => inTrain.has(text)))
    expect(() => splitValidation(rows, 1, 7)).toThrow(/0 to below 1/)
    expect(() => splitValidation(rows, Number.NaN, 7)).toThrow(/0 to below 1/)
  })
})
