import { expect, test } from 'vitest'

import { expiryOf } from './expiry'

test.each([
  ['as the type says', 'default', '', {}],
  ['never', 'never', '2026-11-30', { expires_at: null }],
  ['to the end of a day', 'date', '2026-11-30', { expires_at: '2026-12-01T00:00:00.000Z' }],
  ['nothing typed yet', 'date', '', {}],
  ['half a day typed', 'date', '2026-1', {}],
  ['no such month', 'date', '2026-13-01', {}],
] as const)('%s', (_, kind, day, want) => {
  expect(expiryOf(kind, day)).toEqual(want)
})
