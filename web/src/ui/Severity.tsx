import { VisuallyHidden } from '@mantine/core'

import { type Counts, severities, type SeverityName, total } from './severity'
import classes from './Severity.module.css'

const classOf: Record<string, string | undefined> = classes

/** A severity, by word as well as by colour. */
export function Severity({ value }: { value: string }) {
  return <span className={`${classes.badge} ${classOf[value] ?? classes.unknown}`}>{value}</span>
}

/** How many findings there are of each severity, the gravest first. */
export function SeverityCounts({ counts, none = 'none' }: { counts: Counts; none?: string }) {
  if (total(counts) === 0) return <span className={classes.none}>{none}</span>
  return (
    <span className={classes.counts}>
      {severities.filter((s) => counts[s] > 0).map((s) => (
        <span key={s} className={`${classes.badge} ${classOf[s]}`} title={`${counts[s]} ${s}`}>
          <span aria-hidden>{letter(s)}</span>
          {counts[s]}
          <VisuallyHidden>{s}</VisuallyHidden>
        </span>
      ))}
    </span>
  )
}

function letter(s: SeverityName): string {
  return s === 'unknown' ? '?' : s.charAt(0).toUpperCase()
}

/** The shares of severities; the numbers are said beside it. */
export function SeverityBar({ counts }: { counts: Counts }) {
  const all = total(counts)
  if (all === 0) return null
  return (
    <div className={classes.bar} aria-hidden>
      {severities.filter((s) => counts[s] > 0).map((s) => (
        <span key={s} className={classOf[s]} style={{ flexGrow: counts[s] }} />
      ))}
    </div>
  )
}
