import { Alert, Anchor, List, Text } from '@mantine/core'
import { Link } from 'react-router'

import type { Schemas } from '../api/client'
import { plural, shortDigest } from '../ui/format'
import { imagePath } from './reference'

/** What another policy would change, as the server finds out. */
export function PolicyEffect({ preview }: { preview: Schemas['PolicyPreviews'] }) {
  const moved = preview.registries.flatMap((r) => [
    ...r.blocked.map((i) => ({ ...i, registry: r.registry, becomes: 'can no longer be pulled' })), ...r.pullable.map((i) => ({ ...i, registry: r.registry, becomes: 'can be pulled again' })),
  ])
  const seen = preview.registries.reduce((n, r) => n + r.images, 0)
  return (
    <Alert variant="light" color={preview.newly_blocked > 0 ? 'red' : 'gray'} title="What it changes" p="sm" role="status">
      <Text size="sm">
        {preview.newly_blocked === 0 && preview.newly_pullable === 0 ? 'No image becomes blocked or pullable.'
          : `${plural(preview.newly_blocked, 'image')} can no longer be pulled, ${plural(preview.newly_pullable, 'image')} can be pulled again.`}
        {!preview.complete && ` That is so of the ${plural(seen, 'image')} that were looked at; there are more.`}
      </Text>
      {moved.length > 0 && (
        <List size="sm" mt={4}>
          {moved.slice(0, 10).map((i) => {
            const name = `${i.registry}/${i.repository}`
            return <List.Item key={name + i.digest}><Anchor component={Link} to={imagePath(i.digest, name)} fz="sm">{name}@{shortDigest(i.digest)}</Anchor> {i.becomes}: {i.reasons.slice(0, 2).join(', ')}</List.Item>
          })}
        </List>
      )}
    </Alert>
  )
}
