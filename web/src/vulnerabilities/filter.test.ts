import { describe, expect, test } from 'vitest'

import { filters, queryOf } from './filter'

const at = (search: string) => {
  const params = new URLSearchParams(search)
  return { get: (n: string) => params.get(n) ?? '', list: (n: string) => (params.get(n) ?? '').split(',').filter((v) => v !== '') }
}
const now = new Date('2026-11-26T12:00:30Z')

describe('the query of the list of vulnerabilities', () => {
  test('is empty without filters', () => {
    expect(filters(at(''))).toBe(false)
    expect(Object.values(queryOf(at(''), now)).filter((v) => v !== undefined && (v as unknown[]).length !== 0)).toEqual([])
  })
  test('has every filter of the address', () => {
    const url = at('severity=high,low&state=unassessed&cvss=7&epss=0.1&kev=true&fix=false&age=week&registry=main&package=musl&source=clair&q=CVE&repository=main/app&sort=-images')
    expect(filters(url)).toBe(true)
    expect(queryOf(url, now)).toEqual({
      q: 'CVE', severity: ['high', 'low'], state: ['unassessed'], cvss_from: 7, epss_from: 0.1, exploited: 'true', fix_available: 'false',
      first_seen_since: '2026-11-19T12:00:00.000Z', first_seen_before: undefined, registry: 'main', repository: 'main/app', package: 'musl', source: 'clair',
      sort: 'images', order: 'desc',
    })
  })
  test('leaves out what is no filter', () => {
    expect(queryOf(at('cvss=11&epss=much&kev=maybe&age=never'), now)).toMatchObject({ cvss_from: undefined, epss_from: undefined, exploited: undefined, first_seen_since: undefined })
  })
  test('asks for what is old', () => {
    expect(queryOf(at('age=old'), now)).toMatchObject({ first_seen_since: undefined, first_seen_before: '2025-11-26T12:00:00.000Z' })
  })
})
