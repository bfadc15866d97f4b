import type { Schemas } from '../api/client'

/** A rule in words. */
export function ruleInWords(r: Schemas['AssessmentRule']): string {
  const list = (words: string[] | undefined) => (words ?? []).join(' or ')
  const parts = [
    r.severity_from !== undefined && `severity ${r.severity_from} or graver`, r.severity_to !== undefined && `severity ${r.severity_to} or less`,
    r.cvss_from !== undefined && `CVSS from ${r.cvss_from}`, r.cvss_to !== undefined && `CVSS to ${r.cvss_to}`, r.epss_from !== undefined && `EPSS from ${r.epss_from}`,
    r.exploited !== undefined && (r.exploited ? 'exploited' : 'not exploited'), r.fix_available !== undefined && (r.fix_available ? 'with a fix' : 'without a fix'),
    list(r.packages) !== '' && `in ${list(r.packages)}`, list(r.paths) !== '' && `at ${list(r.paths)}`, list(r.feeds) !== '' && `by ${list(r.feeds)}`, list(r.package_types) !== '' && `of type ${list(r.package_types)}`,
  ].filter((p) => p !== false)
  return parts.length === 0 ? 'everything' : parts.join(', ')
}
