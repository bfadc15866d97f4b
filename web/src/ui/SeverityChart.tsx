import type { ChartPoint } from './chart'
import { type Counts, severities } from './severity'
import { StepChart } from './StepChart'

/** Findings or vulnerabilities by severity over time, stacked, the gravest below. */
export function SeverityChart({ points, label }: { points: ({ at: string } & Counts)[]; label: string }) {
  const present = severities.filter((s) => points.some((p) => p[s] > 0))
  return (
    <StepChart
      stacked label={label} points={points as ChartPoint[]}
      series={(present.length === 0 ? (['unknown'] as const) : present).map((s) => ({ name: s, color: s === 'unknown' ? 'var(--sev-unknown-line)' : `var(--sev-${s}-bg)` }))}
    />
  )
}
