import { expect, test } from 'vitest'

import { problemOf } from '../api/client'
import { parseAt } from '../registries/reference'
import { remedyOf } from '../ui/Failure'
import { isCurrent, sections } from './navigation'
import { safeNext } from './session'

test.each([
  ['/registries?q=a', '/registries?q=a'], ['//evil.example', '/'], ['/\\evil.example', '/'], ['https://evil.example', '/'], ['/sign-in?next=/', '/'], [null, '/'],
])('after signing in, %j', (next, want) => {
  expect(safeNext(next)).toBe(want)
})

test('every path belongs to one entry of the menu', () => {
  const entries = sections.flatMap((s) => s.entries)
  for (const path of ['/', '/registries/main/manage', '/images/sha256:a/layers', '/vulnerabilities/CVE-1', '/administration/jobs/7', '/administration/api-keys', '/assessments/7', '/vex-documents/7', '/administration/kubernetes']) {
    expect(entries.filter((e) => isCurrent(e, path)).map((e) => e.label), path).toHaveLength(1)
  }
})

test('problems are read as the server says them, and told how to mend', async () => {
  const p = await problemOf(new Response(JSON.stringify({ status: 422, detail: 'validation failed', errors: [{ location: 'body.name', message: 'is taken' }] }), { status: 422 }))
  expect([p.status, p.message, p.fields]).toEqual([422, 'validation failed', [{ location: 'body.name', message: 'is taken' }]])
  expect((await problemOf(new Response('<html>', { status: 502, statusText: 'Bad Gateway' }))).message).toBe('Bad Gateway')
  expect(remedyOf(p)).toContain('Correct')
  expect(remedyOf(new Error('x'))).toContain('Reload')
})

test('what led to an image', () => {
  expect(parseAt('main/team/app:1.0')).toEqual({ registry: 'main', repository: 'team/app', tag: '1.0' })
  expect(parseAt('main/app')).toEqual({ registry: 'main', repository: 'app', tag: '' })
  expect(parseAt('')).toBeUndefined()
})
