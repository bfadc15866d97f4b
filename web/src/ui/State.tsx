import { Badge } from '@mantine/core'

import { api } from '../api/client'
import classes from './State.module.css'

/** A finding's state: unassessed, or the assessment type with its colour as a mark. */
export function State({ name, blocks = false }: { name: string; blocks?: boolean }) {
  const types = api.useQuery('get', '/assessment-types', undefined, { staleTime: 60_000 })
  const type = types.data?.items.find((t) => t.name === name)
  if (type === undefined) {
    return (
      <span className={classes.state}>
        <span className={classes.open} aria-hidden />
        {name === 'unassessed' ? 'Unassessed' : name}
        {blocks && <Blocks />}
      </span>
    )
  }
  return (
    <span className={classes.state}>
      <span className={classes.mark} style={{ background: type.color }} aria-hidden />
      {name}
      {blocks && <Blocks />}
    </span>
  )
}

function Blocks() {
  return <Badge size="xs" variant="outline" color="red" className={classes.blocks}>blocks</Badge>
}
