import { ago, exactly } from './format'

/** A time as people say it; the exact one on hovering. */
export function When({ time, none = 'never' }: { time: string | null | undefined; none?: string }) {
  if (!time) return <span>{none}</span>
  return <time dateTime={time} title={exactly(time)} style={{ whiteSpace: 'nowrap' }}>{ago(time)}</time>
}
