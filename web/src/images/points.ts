import type { Schemas } from '../api/client'
import { type Counts, severities } from '../ui/severity'

export type Point = { at: string } & Counts

/** The points of a chart: each day of change, and today with what holds since the last one. */
export function chartPoints(days: Schemas['FindingsOn'][], now = new Date()): Point[] {
  const points = days.map((d) => ({ at: d.day, ...pick(d.finding_counts) }))
  const last = days.at(-1)
  if (last && now.getTime() - Date.parse(last.day) > 86_400_000) points.push({ at: now.toISOString(), ...pick(last.finding_counts) })
  const first = days[0]
  if (first && points.length === 1) {
    // One point alone draws nothing.
    points.unshift({ at: new Date(Date.parse(first.day) - 86_400_000).toISOString(), critical: 0, high: 0, medium: 0, low: 0, negligible: 0, unknown: 0 })
  }
  return points
}

function pick(counts: Counts): Counts {
  return Object.fromEntries(severities.map((s) => [s, counts[s]])) as Counts
}
