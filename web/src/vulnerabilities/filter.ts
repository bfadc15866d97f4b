import type { paths } from '../api/schema'
import type { UrlState } from '../ui/urlState'

export type Query = NonNullable<paths['/vulnerabilities']['get']['parameters']['query']>

/** The filters that are behind a button, as the address names them. */
export const moreFilters = ['cvss', 'epss', 'kev', 'fix', 'age', 'registry', 'repository', 'package', 'source'] as const

interface Age {
  label: string
  days: number
  /** Since then, or before. */
  before?: boolean
}

export const ages: Record<string, Age> = {
  day: { label: 'in the last day', days: 1 },
  week: { label: 'in the last week', days: 7 },
  month: { label: 'in the last month', days: 30 },
  older: { label: 'more than a month ago', days: 30, before: true },
  old: { label: 'more than a year ago', days: 365, before: true },
}

type Choice = 'true' | 'false'

const choice = (text: string): Choice | undefined => (text === 'true' || text === 'false' ? text : undefined)

const amount = (text: string, most: number): number | undefined => {
  const n = Number(text)
  return text !== '' && n >= 0 && n <= most ? n : undefined
}

/** The query that the address asks for; what it has that is no such filter is left out. */
export function queryOf(url: Pick<UrlState, 'get' | 'list'>, now: Date): Query {
  const age = ages[url.get('age')]
  // A whole minute, so that the query is the same one when the page is drawn again.
  const then = age && new Date(Math.floor(now.getTime() / 60_000) * 60_000 - age.days * 86_400_000).toISOString()
  const sort = url.get('sort')
  return {
    q: url.get('q') || undefined,
    severity: url.list('severity') as Query['severity'],
    state: url.list('state'),
    cvss_from: amount(url.get('cvss'), 10),
    epss_from: amount(url.get('epss'), 1),
    exploited: choice(url.get('kev')),
    fix_available: choice(url.get('fix')),
    first_seen_since: age?.before ? undefined : then,
    first_seen_before: age?.before ? then : undefined,
    registry: url.get('registry') || undefined,
    repository: url.get('repository') || undefined,
    package: url.get('package') || undefined,
    source: url.get('source') || undefined,
    ...(sort === '' ? {} : { sort: sort.replace(/^-/, '') as Query['sort'], order: sort.startsWith('-') ? 'desc' as const : 'asc' as const }),
  }
}

/** Whether anything keeps vulnerabilities from the list. */
export function filters(url: Pick<UrlState, 'get'>): boolean {
  return ['q', 'severity', 'state', ...moreFilters].some((name) => url.get(name) !== '')
}
