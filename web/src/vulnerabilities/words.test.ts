import { expect, test } from 'vitest'

import type { Schemas } from '../api/client'
import { covers } from './Effect'
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

test('what a scope covers', () => {
  const a = { registry: 'main', repository: 'team/app', digest: 'sha256:a', package: { name: 'curl' } } as Schemas['Affected']
  const scopes: [Schemas['Scope'], boolean][] = [
    [{ kind: 'everywhere' }, true], [{ kind: 'registry', value: 'main' }, true], [{ kind: 'registry', value: 'other' }, false],
    [{ kind: 'repository', value: 'main/team/app' }, true], [{ kind: 'repository', value: 'main/team' }, false],
    [{ kind: 'image', value: 'sha256:a' }, true], [{ kind: 'image', value: 'sha256:b' }, false], [{ kind: 'package', value: 'curl' }, true], [{ kind: 'package', value: 'cur' }, false],
  ]
  for (const [scope, want] of scopes) expect(covers(scope, a), JSON.stringify(scope)).toBe(want)
})
