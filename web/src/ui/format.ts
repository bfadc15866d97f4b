// Numbers, sizes and times in words.

const count = new Intl.NumberFormat('en')

export function number(n: number): string {
  return count.format(n)
}

/** "1 image", "2 images". */
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${number(n)} ${n === 1 ? one : many}`
}

/** A size in bytes, in units of 1000, with three digits. */
export function bytes(n: number): string {
  if (n < 1000) return `${n} B`
  for (const unit of ['kB', 'MB', 'GB', 'TB']) {
    n /= 1000
    if (n < 999.5 || unit === 'TB') return `${n < 10 ? n.toFixed(2) : n < 100 ? n.toFixed(1) : n.toFixed(0)} ${unit}`
  }
  return ''
}

/** A digest, short enough to be read out. */
export function shortDigest(digest: string): string {
  const [algorithm, hex] = digest.split(':')
  return hex === undefined ? digest.slice(0, 12) : `${algorithm}:${hex.slice(0, 12)}`
}

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'short' })
const units: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 365 * 86400], ['month', 30 * 86400], ['week', 7 * 86400], ['day', 86400], ['hour', 3600], ['minute', 60],
]

/** "3 hr. ago", "in 2 days". */
export function ago(time: string, now = Date.now()): string {
  const seconds = (Date.parse(time) - now) / 1000
  for (const [unit, length] of units) {
    if (Math.abs(seconds) >= length) return relative.format(Math.trunc(seconds / length), unit)
  }
  return seconds > 0 ? 'in a moment' : 'just now'
}

const moment = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short', timeZone: 'UTC' })
const day = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeZone: 'UTC' })

export function exactly(time: string): string {
  return `${moment.format(new Date(time))} UTC`
}

export function date(time: string): string {
  return day.format(new Date(time))
}

/** A probability as people say it. */
export function percent(share: number): string {
  if (share > 0 && share < 0.001) return '< 0.1 %'
  return `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`
}
