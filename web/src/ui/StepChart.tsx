import { VisuallyHidden } from '@mantine/core'
import { useElementSize } from '@mantine/hooks'
import { useState } from 'react'

import { between, type ChartPoint, type Series, stack, steps, ticks } from './chart'
import { date, number } from './format'
import classes from './StepChart.module.css'

interface Props {
  /** What the chart shows, for those who do not see it. */
  label: string
  points: ChartPoint[]
  series: Series[]
  stacked?: boolean
  height?: number
}

const margin = { top: 8, right: 8, bottom: 20, left: 34 }

/** Numbers over time. The same as a table is there for those who do not see it. */
export function StepChart({ label, points, series, stacked = false, height = 200 }: Props) {
  const { ref, width } = useElementSize()
  const [hovered, setHovered] = useState<number>()
  const names = series.map((s) => s.name)
  const tops = stacked ? stack(points, names) : points.map((p) => names.map((n) => Number(p[n] ?? 0)))
  const marks = ticks(Math.max(0, ...tops.flat()))
  const greatest = marks.at(-1) ?? 1
  const times = points.map((p) => Date.parse(p.at))
  const [first = 0, last = 1] = [times[0], times.at(-1)]
  const x = (t: number) => margin.left + ((t - first) / Math.max(1, last - first)) * Math.max(0, width - margin.left - margin.right)
  const y = (v: number) => margin.top + (1 - v / greatest) * (height - margin.top - margin.bottom)
  const xs = times.map(x)
  const wanted = Math.max(2, Math.min(points.length, Math.floor(width / 110)))
  const days = Array.from({ length: wanted }, (_, i) => first + ((last - first) * i) / (wanted - 1))
  const nearest = (at: number) => xs.reduce((best, v, i) => (Math.abs(v - at) < Math.abs((xs[best] ?? 0) - at) ? i : best), 0)
  const point = hovered === undefined ? undefined : points[hovered]
  return (
    <figure className={classes.figure}>
      <div className={classes.legend} aria-hidden>
        {series.map((s) => <span key={s.name}><svg width="14" height="10"><rect y={s.dashed ? 4 : 1} width="14" height={s.dashed ? 2 : 8} rx="1" fill={s.color} /></svg>{s.name}{point && <b>{number(Number(point[s.name] ?? 0))}</b>}</span>)}
        {point && <span className={classes.when}>{date(point.at)}</span>}
      </div>
      <div ref={ref} aria-hidden style={{ height }}>
        {width > 0 && (
          <svg
            width={width} height={height} className={classes.chart}
            onPointerMove={(e) => setHovered(nearest(e.clientX - e.currentTarget.getBoundingClientRect().left))} onPointerLeave={() => setHovered(undefined)}
          >
            {marks.map((m) => (
              <g key={m}>
                <line x1={margin.left} x2={width - margin.right} y1={y(m)} y2={y(m)} className={classes.grid} />
                <text x={margin.left - 6} y={y(m)} textAnchor="end" dominantBaseline="central">{m >= 10_000 ? `${m / 1000}k` : m}</text>
              </g>
            ))}
            {days.map((t, i) => <text key={t} x={x(t)} y={height - 4} textAnchor={i === 0 ? 'start' : i === days.length - 1 ? 'end' : 'middle'}>{date(new Date(t).toISOString()).replace(/ \d{4}$/, '')}</text>)}
            {stacked && series.map((s, i) => <path key={s.name} d={between(xs, tops.map((p) => y(p[i] ?? 0)), tops.map((p) => y(i === 0 ? 0 : p[i - 1] ?? 0)))} fill={s.color} />)}
            {!stacked && series.map((s, i) => <path key={s.name} d={steps(xs, tops.map((p) => y(p[i] ?? 0)))} fill="none" stroke={s.color} strokeWidth={2} strokeDasharray={s.dashed ? '4 3' : undefined} />)}
            {hovered !== undefined && <line x1={xs[hovered]} x2={xs[hovered]} y1={margin.top} y2={height - margin.bottom} className={classes.cursor} />}
          </svg>
        )}
      </div>
      <VisuallyHidden>
        <table>
          <caption>{label}</caption>
          <thead><tr><th scope="col">Day</th>{names.map((n) => <th key={n} scope="col">{n}</th>)}</tr></thead>
          <tbody>
            {points.filter((_, i) => i === points.length - 1 || i % Math.ceil(points.length / 12) === 0).map((p) => (
              <tr key={p.at}><th scope="row">{date(p.at)}</th>{names.map((n) => <td key={n}>{Number(p[n] ?? 0)}</td>)}</tr>
            ))}
          </tbody>
        </table>
      </VisuallyHidden>
    </figure>
  )
}
