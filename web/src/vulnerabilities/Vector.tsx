import { Text } from '@mantine/core'

import { metrics } from './vector'
import classes from './Vector.module.css'

/** A CVSS vector, drawn: the longer a bar, the worse. */
export function Vector({ text }: { text: string }) {
  const all = metrics(text)
  return (
    <div className={classes.vector}>
      <dl>
        {all.map((m) => (
          <div key={m.name}>
            <dt>{m.name}</dt>
            <dd>
              <span className={classes.track} aria-hidden><span style={{ width: `${Math.max(4, m.weight * 100)}%` }} /></span>
              <span>{m.value}</span>
            </dd>
          </div>
        ))}
      </dl>
      <Text size="xs" c="dimmed" component="div" mt={6}><code className="break">{text}</code></Text>
    </div>
  )
}
