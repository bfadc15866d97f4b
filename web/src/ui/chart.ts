// The geometry of step charts: what holds from one time to the next does not
// change in between, so lines go by steps.

export interface Series {
  name: string
  color: string
  dashed?: boolean
}

export type ChartPoint = { at: string } & Record<string, number | string>

/** The tops of stacked series at each point, from the lowest series up. */
export function stack(points: ChartPoint[], names: string[]): number[][] {
  return points.map((p) => {
    let sum = 0
    return names.map((n) => (sum += Number(p[n] ?? 0)))
  })
}

/** About four round numbers from 0 to the greatest or just above it. */
export function ticks(greatest: number): number[] {
  if (greatest <= 0) return [0, 1]
  const rough = greatest / 4
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = Math.max(1, [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough) ?? rough)
  const all = [0]
  while ((all.at(-1) ?? 0) < greatest) all.push((all.at(-1) ?? 0) + step)
  return all
}

/** The path of steps through points, left to right. */
export function steps(xs: number[], ys: number[]): string {
  return xs.map((x, i) => (i === 0 ? `M${round(x)},${round(ys[i] ?? 0)}` : `H${round(x)}V${round(ys[i] ?? 0)}`)).join('')
}

/** The area between two lines of steps. */
export function between(xs: number[], upper: number[], lower: number[]): string {
  let back = ''
  for (let i = xs.length - 1; i >= 0; i--) {
    back += `${i === xs.length - 1 ? `L${round(xs[i] ?? 0)},${round(lower[i] ?? 0)}` : `V${round(lower[i] ?? 0)}H${round(xs[i] ?? 0)}`}`
  }
  return `${steps(xs, upper)}${back}Z`
}

function round(n: number): number {
  return Math.round(n * 10) / 10
}
