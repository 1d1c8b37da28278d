import { expect, test } from 'vitest'
import { rowId } from '../../src/data/normalise.js'
import { overlapOf } from '../../src/train/overlap.js'

const row = (instruction: string, response: string) => ({ id: rowId(instruction, response), instruction, response })
const long =
  'The tide comes twice a day because the moon pulls the water on both sides of the Earth at once, the near side ' +
  'more than the ground below it and the far side less, so that two bulges stand while the Earth turns through them; ' +
  'the sun does the same at half the strength, and where both pull in one line the tide is highest of all'
const train = [
  row('Why are there tides?', `${long}.`),
  row('Name a tree.', 'The oak.'),
  row('Name a bird that cannot fly.', 'The penguin is a bird that swims and does not fly.'),
]

test('each validation row counts once, by the strongest kind that holds', () => {
  const validation = [
    row('Name  a TREE.', 'the oak.'),
    row('Name a tree.', 'The elm.'),
    row('Which tree is tall?', 'The oak.'),
    row('Why are there tides on Earth?', `${long}, and so on.`),
    row('What is new?', 'Nothing that any of the others would say.'),
  ]
  const backward = overlapOf(train, validation, 'backward')
  expect(backward).toMatchObject({ validation: 5, rows: { both: 1, target: 1, context: 1, near: 1 }, nearFrom: 0.85 })
  expect(backward.examples.map(({ kind, validation, train }) => [kind, validation, train])).toEqual([
    ['both', validation[0]!.id, train[1]!.id],
    ['target', validation[1]!.id, train[1]!.id],
    ['context', validation[2]!.id, train[1]!.id],
    ['near', validation[3]!.id, train[0]!.id],
  ])
  // Forward, the response is the target.
  const forward = overlapOf(train, validation, 'forward')
  expect(forward.examples.map(({ kind }) => kind)).toEqual(['both', 'context', 'target', 'near'])
})

test('validation rows that are like each other, and like no training row, are not counted', () => {
  const other = 'A glacier moves because the ice at its foot gives way under the weight of all the ice above it'
  const found = overlapOf(train, [row('Why?', `${other}.`), row('Why so?', `${other}, slowly.`)], 'backward')
  expect(Object.values(found.rows)).toEqual([0, 0, 0, 0])
  expect(overlapOf(train, [], 'backward')).toMatchObject({ validation: 0, examples: [] })
})

test('conversations are compared as a whole and by their first pair', () => {
  const talk = (id: string, ...exchanges: [string, string][]) => {
    const pairs = exchanges.map(([instruction, response]) => ({ instruction, response }))
    return { ...row(...exchanges[0]!), id, conversation: { exchanges: pairs } }
  }
  const thanks: [string, string] = ['Thank you!', 'You are welcome.']
  const trained = [
    talk('t', ['Name a river.', 'The Oder.'], thanks),
    talk('u', ['Name a lake.', 'Como.'], ['And?', 'Garda.']),
  ]
  const validation = [
    talk('a', ['Name a river.', 'The Oder.'], ['Where is it?', 'In Central Europe.']),
    talk('b', ['Which lakes are there?', 'Many.'], thanks), // thanks alone repeat nothing
    talk('c', ['Name a lake.', 'Como.'], ['And?', 'Garda.']),
  ]
  const found = overlapOf(trained, validation, 'forward')
  expect(found.examples.map(({ kind, validation, train }) => [kind, validation, train])).toEqual([
    ['both', 'a', 't'],
    ['both', 'c', 'u'],
  ])
})
