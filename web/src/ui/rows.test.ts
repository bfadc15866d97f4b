import { expect, test } from 'vitest'

import { type Column, pageOf, searchRows, sortRows } from './rows'

interface Row { name: string; n: number }
const columns: Column<Row>[] = [
  { key: 'name', title: 'Name', render: () => '', value: (r) => r.name },
  { key: 'n', title: 'N', render: () => '', value: (r) => r.n },
  { key: 'fixed', title: 'Does not sort', render: () => '' },
]
const rows: Row[] = [{ name: 'pkg10', n: 2 }, { name: 'pkg9', n: 10 }, { name: 'Alpha', n: 2 }]

test.each([
  ['name', ['Alpha', 'pkg9', 'pkg10']], // as people count
  ['-name', ['pkg10', 'pkg9', 'Alpha']],
  ['n', ['pkg10', 'Alpha', 'pkg9']], // equal ones keep their order
  ['-n', ['pkg9', 'pkg10', 'Alpha']],
  ['fixed', ['pkg10', 'pkg9', 'Alpha']],
  ['nothing', ['pkg10', 'pkg9', 'Alpha']],
  ['', ['pkg10', 'pkg9', 'Alpha']],
])('sort by %j', (sort, want) => {
  expect(sortRows(rows, columns, sort).map((r) => r.name)).toEqual(want)
})

test.each([['', 3], ['PKG', 2], ['pkg 10', 1], ['pkg alpha', 0]])('search %j', (search, want) => {
  expect(searchRows(rows, (r) => r.name, search)).toHaveLength(want)
})

test.each([
  [1, { page: 1, pages: 2, from: 1, to: 2 }], [2, { page: 2, pages: 2, from: 3, to: 3 }], [9, { page: 2, pages: 2, from: 3, to: 3 }], [-1, { page: 1, pages: 2, from: 1, to: 2 }],
])('page %d', (page, want) => {
  expect(pageOf(rows, page, 2)).toMatchObject(want)
})

test('no rows are one empty page', () => {
  expect(pageOf([], 1, 50)).toEqual({ shown: [], page: 1, pages: 1, from: 0, to: 0 })
})

test('100,000 rows are searched, sorted and paged within a moment', () => {
  const many = Array.from({ length: 100_000 }, (_, i) => ({ name: `pkg${(i * 7919) % 100_000}`, n: i }))
  const began = performance.now()
  pageOf(sortRows(searchRows(many, (r) => r.name, '9'), columns, '-n'), 3, 50)
  expect(performance.now() - began).toBeLessThan(2000)
})
