import { expect, test } from 'vitest'

import { ago, bytes, percent, plural, shortDigest } from './format'

test.each([[0, '0 B'], [999, '999 B'], [1000, '1.00 kB'], [12_345, '12.3 kB'], [999_600, '1.00 MB'], [5e12, '5.00 TB'], [5e15, '5000 TB']])('%d bytes', (n, want) => {
  expect(bytes(n)).toBe(want)
})

test.each([
  ['2026-01-01T12:00:30Z', 'in a moment'], ['2026-01-01T11:59:59Z', 'just now'], ['2026-01-01T09:00:00Z', '3 hr. ago'], ['2026-01-03T12:00:00Z', 'in 2 days'], ['2025-12-31T11:00:00Z', 'yesterday'], ['2024-01-01T00:00:00Z', '2 yr. ago'],
])('%s', (time, want) => {
  expect(ago(time, Date.parse('2026-01-01T12:00:00Z'))).toBe(want)
})

test.each([[0.94, '94 %'], [0.012, '1.2 %'], [0.0004, '< 0.1 %'], [0, '0.0 %']])('share %d', (share, want) => {
  expect(percent(share)).toBe(want)
})

test('words', () => {
  expect([plural(1, 'image'), plural(2, 'image'), plural(1200, 'vulnerability', 'vulnerabilities')]).toEqual(['1 image', '2 images', '1,200 vulnerabilities'])
  expect(shortDigest(`sha256:${'ab'.repeat(32)}`)).toBe('sha256:abababababab')
  expect(shortDigest('odd')).toBe('odd')
})
