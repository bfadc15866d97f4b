import { useQuery } from '@tanstack/react-query'

import { client, readAll, type Schemas } from '../api/client'
import { type Counts, severities, weight } from '../ui/severity'

export type Finding = Schemas['Finding']

/** All findings of an image, the most severe first. */
export function useFindings(digest: string, enabled = true) {
  return useQuery({
    queryKey: ['get', '/images/{digest}/findings', digest, 'all'],
    enabled,
    queryFn: ({ signal }) => readAll(async (page_token) => (await client.GET('/images/{digest}/findings', {
      params: { path: { digest }, query: { page_size: 1000, page_token } }, signal,
    })).data!),
  })
}

/** All packages of an image by name. */
export function usePackages(digest: string, enabled = true) {
  return useQuery({
    queryKey: ['get', '/images/{digest}/packages', digest, 'all'],
    enabled,
    queryFn: ({ signal }) => readAll(async (page_token) => (await client.GET('/images/{digest}/packages', {
      params: { path: { digest }, query: { page_size: 1000, page_token } }, signal,
    })).data!),
  })
}

export interface Group {
  key: string
  title: string
  counts: Counts
  findings: Finding[]
}

/** Puts findings together by what a person would mend at once, the gravest group first. */
export function groupFindings(findings: Finding[], by: 'package' | 'layer' | 'vulnerability'): Group[] {
  const groups = new Map<string, Group>()
  for (const f of findings) {
    const [key, title] = by === 'package' ? [`${f.package.type} ${f.package.name} ${f.package.version}`, `${f.package.name} ${f.package.version}`]
      : by === 'layer' ? [String(f.layer_index), `Layer ${f.layer_index}`]
        : [f.vulnerability, f.vulnerability]
    let group = groups.get(key)
    if (group === undefined) {
      group = { key, title, counts: { critical: 0, high: 0, medium: 0, low: 0, negligible: 0, unknown: 0 }, findings: [] }
      groups.set(key, group)
    }
    group.findings.push(f)
    group.counts[f.severity]++
  }
  return [...groups.values()].toSorted((a, b) => {
    if (by === 'layer') return Number(a.key) - Number(b.key)
    for (const s of severities) if (a.counts[s] !== b.counts[s]) return b.counts[s] - a.counts[s]
    return a.title.localeCompare(b.title)
  })
}

export interface FindingFilter {
  severities: string[]
  states: string[]
  fixable: boolean
  exploited: boolean
  /** Only those in layers of the base image, or only the own ones. */
  layers: 'all' | 'base' | 'own'
  /** Only those that one layer introduced. */
  layer?: number
}

/** The findings that a filter lets through; baseLayers is how many layers are the base's. */
export function filterFindings(findings: Finding[], filter: FindingFilter, baseLayers: number): Finding[] {
  return findings.filter((f) =>
    (filter.severities.length === 0 || filter.severities.includes(f.severity))
    && (filter.states.length === 0 || filter.states.includes(f.state))
    && (!filter.fixable || f.fixed_version !== '')
    && (!filter.exploited || f.exploited_since !== undefined)
    && (filter.layer === undefined || f.layer_index === filter.layer)
    && (filter.layers === 'all' || (f.layer_index < baseLayers) === (filter.layers === 'base')))
}

/** What identifies a finding in lists, and in comparisons by the package's name only. */
export function findingKey(f: Finding): string {
  return [f.vulnerability, f.package.type, f.package.name, f.package.version, f.package.architecture, f.evidence.path, f.evidence.line ?? ''].join('|')
}

export interface Difference<T> {
  added: T[]
  gone: T[]
}

/** What is in one list and not in the other, by a key. */
export function difference<T>(from: T[], to: T[], key: (item: T) => string): Difference<T> {
  const before = new Set(from.map(key))
  const after = new Set(to.map(key))
  return { added: to.filter((i) => !before.has(key(i))), gone: from.filter((i) => !after.has(key(i))) }
}

/** Orders findings as lists do: the most severe first. */
export function bySeverity(a: Finding, b: Finding): number {
  return weight(b.severity) - weight(a.severity) || a.vulnerability.localeCompare(b.vulnerability) || a.package.name.localeCompare(b.package.name)
}
