import { expect, test } from 'vitest'

import { difference, filterFindings, type Finding, groupFindings } from './findings'
import { instruction } from './instruction'
import { packageChanges } from './packageChanges'
import { chartPoints } from './points'
import { kindOfReferrer } from './referrer'

function finding(vulnerability: string, severity: Finding['severity'], name: string, more: Partial<Finding> = {}): Finding {
  return {
    vulnerability, severity, description: '', fixed_version: '', state: 'unassessed', blocks: false, places: [], layer_index: 0, layer_digest: '', sources: [], first_seen: '',
    package: { name, version: '1', type: 'deb', distribution: '', architecture: '', source_name: '', source_version: '' },
    evidence: { path: 'x', detector: '', feed: '', part: '', subject: '', comparison: '' }, ...more,
  }
}

const all = [
  finding('CVE-1', 'low', 'curl', { fixed_version: '2' }),
  finding('CVE-2', 'critical', 'zlib', { layer_index: 2, state: 'Caution' }),
  finding('CVE-3', 'high', 'curl', { exploited_since: '2026-01-01T00:00:00Z' }),
]
const nothing = { severities: [], states: [], fixable: false, exploited: false, layers: 'all' as const }

test.each([
  ['all', nothing, ['CVE-1', 'CVE-2', 'CVE-3']],
  ['severities', { ...nothing, severities: ['low', 'high'] }, ['CVE-1', 'CVE-3']],
  ['states', { ...nothing, states: ['Caution'] }, ['CVE-2']],
  ['with a fix', { ...nothing, fixable: true }, ['CVE-1']],
  ['exploited', { ...nothing, exploited: true }, ['CVE-3']],
  ['of the base', { ...nothing, layers: 'base' as const }, ['CVE-1', 'CVE-3']],
  ['own', { ...nothing, layers: 'own' as const }, ['CVE-2']],
])('filter: %s', (_, filter, want) => {
  expect(filterFindings(all, filter, 1).map((f) => f.vulnerability)).toEqual(want)
})

test('groups, the gravest first', () => {
  expect(groupFindings(all, 'package').map((g) => [g.title, g.findings.length])).toEqual([['zlib 1', 1], ['curl 1', 2]])
  expect(groupFindings(all, 'layer').map((g) => g.title)).toEqual(['Layer 0', 'Layer 2'])
  expect(groupFindings(all, 'vulnerability').map((g) => g.title)).toEqual(['CVE-2', 'CVE-3', 'CVE-1'])
})

test('difference', () => {
  expect(difference([1, 2, 3], [2, 3, 4], String)).toEqual({ added: [4], gone: [1] })
})

test('package changes', () => {
  const p = (name: string, version: string) => ({ type: 'deb', name, version })
  expect(packageChanges([p('a', '1'), p('b', '1'), p('c', '1'), p('c', '2')], [p('a', '2'), p('b', '1'), p('c', '2'), p('c', '1'), p('d', '1')])).toEqual([
    { type: 'deb', name: 'a', from: ['1'], to: ['2'] }, { type: 'deb', name: 'd', from: [], to: ['1'] },
  ])
})

test.each([
  ['/bin/sh -c #(nop)  CMD ["bash"]', 'CMD', '["bash"]'], ['/bin/sh -c apt-get update', 'RUN', 'apt-get update'], ['RUN /bin/sh -c pip install x # buildkit', 'RUN', 'pip install x'],
  ['COPY . /srv # buildkit', 'COPY', '. /srv'], ['', '', 'The image does not tell.'], ['bazel build', 'RUN', 'bazel build'],
])('instruction %j', (text, word, rest) => {
  expect(instruction(text)).toEqual({ word, rest })
})

test.each([['application/vnd.cyclonedx+json', 'Bill of materials (CycloneDX)'], ['application/vnd.dev.cosign.artifact.sig.v1+json', 'Signature'], ['application/vnd.openvex+json', 'VEX document'], ['x/y', 'Artifact'], ['', 'Artifact']])('referrer %j', (type, want) => {
  expect(kindOfReferrer(type)).toBe(want)
})

test('the chart of a history ends today', () => {
  const counts = { critical: 1, high: 0, medium: 0, low: 0, negligible: 0, unknown: 0 }
  const points = chartPoints([{ day: '2026-01-01T00:00:00Z', finding_counts: counts, came: [], went: [] }], new Date('2026-01-09T00:00:00Z'))
  expect(points.map((p) => [p.at.slice(0, 10), p.critical])).toEqual([['2026-01-01', 1], ['2026-01-09', 1]])
})
