import { expect, test } from 'vitest'

import { ruleInWords } from './rule'

test.each([
  [{}, 'everything'],
  [{ severity_to: 'low' as const, exploited: false }, 'severity low or less, not exploited'],
  [{ cvss_from: 0, epss_from: 0.1, fix_available: true, packages: ['linux-*', 'curl'], paths: [], feeds: ['debian'] }, 'CVSS from 0, EPSS from 0.1, with a fix, in linux-* or curl, by debian'],
])('%j', (rule, want) => {
  expect(ruleInWords(rule)).toBe(want)
})
