import { expect, test } from 'vitest'

import { words } from './Effect'
import { expiryOf, isDate } from './expiry'
import { safeLink } from './links'
import { metrics } from './vector'

test('an expiry is the end of the last day', () => {
  expect(expiryOf('date', '2026-11-26')).toEqual({ expires_at: '2026-11-27T00:00:00.000Z' })
  expect(expiryOf('never', '')).toEqual({ expires_at: null })
  expect(expiryOf('default', '')).toEqual({})
  expect([isDate('2026-11-26'), isDate('2026-13-01'), isDate('')]).toEqual([true, false, false])
})

test.each([['https://example.org/a', true], ['http://example.org', true], ['javascript:alert(1)', false], ['data:text/html,x', false], ['/relative', false], ['', false]])('link %j', (address, want) => {
  expect(safeLink(address)).toBe(want)
})

test.each([
  ['CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:C/C:H/I:L/A:N', ['network', 'high', 'none', 'required', 'changed', 'high', 'low', 'none']],
  ['CVSS:4.0/AV:L/AC:L/AT:P/PR:L/UI:P/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N', ['local', 'low', 'present', 'low', 'passive', 'high', 'high', 'high', 'none', 'none', 'none']],
  ['AV:N/AC:M/Au:N/C:P/I:N/A:C', ['network', 'medium', 'none', 'partial', 'none', 'complete']],
  ['CVSS:3.1/XX:Y/AV:?', []],
  ['', []],
])('vector %s', (vector, want) => {
  expect(metrics(vector).map((m) => m.value)).toEqual(want)
})

const preview = { findings: 0, images: 0, become_blocked: 0, become_pullable: 0, complete: true, images_examined: 0, superseded: 0 }

test.each([
  [{}, 'It changes no finding of a stored image; it will count for those to come.'],
  [{ findings: 1, images: 1, become_blocked: 1 }, '1 finding of 1 stored image gets another state. 1 image can no longer be pulled.'],
  [{ findings: 3, images: 2 }, '3 findings of 2 stored images get another state. No pull is refused or allowed by it.'],
  [{ findings: 3, images: 2, become_pullable: 2, superseded: 1, complete: false, images_examined: 5000 },
    '3 findings of 2 stored images get another state. 2 images can be pulled again. It takes the place of 1 assessment. These are the first 5,000 images; there are more.'],
])('what %j changes', (p, want) => {
  expect(words({ ...preview, ...p })).toBe(want)
})
