import { Text } from '@mantine/core'

import type { Schemas } from '../api/client'
import { policyInWords } from './policy'

/** A policy in words: what it refuses first, then the rest. */
export function PolicyWords({ policy }: { policy: Schemas['Policy'] }) {
  const [first, ...rest] = policyInWords(policy)
  return <>{first}{rest.length > 0 && <Text size="xs" c="dimmed" component="div">{rest.join('. ')}</Text>}</>
}
