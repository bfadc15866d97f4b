import { expect, test } from 'vitest'

import { between, stack, steps, ticks } from './chart'

test.each([[0, [0, 1]], [1, [0, 1]], [7, [0, 2, 4, 6, 8]], [23, [0, 10, 20, 30]], [400, [0, 100, 200, 300, 400]]])('ticks to %d', (greatest, want) => {
  expect(ticks(greatest)).toEqual(want)
})

test('series are stacked', () => {
  expect(stack([{ at: '', a: 1, b: 2 }, { at: '', a: 0 }], ['a', 'b'])).toEqual([[1, 3], [0, 0]])
})

test('what holds until the next point is drawn as a step', () => {
  expect(steps([0, 10, 20], [5, 3, 4])).toBe('M0,5H10V3H20V4')
  expect(between([0, 10], [5, 3], [9, 9])).toBe('M0,5H10V3L10,9V9H0Z')
})
