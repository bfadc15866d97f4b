export const severities = ['critical', 'high', 'medium', 'low', 'negligible', 'unknown'] as const

export type SeverityName = (typeof severities)[number]

export type Counts = Record<SeverityName, number>

/** Orders severities, the gravest highest. */
export function weight(severity: string): number {
  return severities.length - severities.indexOf(severity as SeverityName)
}

export function total(counts: Counts): number {
  return severities.reduce((sum, s) => sum + counts[s], 0)
}

/** One number that orders images by the gravest findings first. */
export function risk(counts: Counts): number {
  return severities.reduce((sum, s) => sum * 1000 + Math.min(counts[s], 999), 0)
}
