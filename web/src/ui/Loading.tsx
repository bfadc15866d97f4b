import { Skeleton, Stack, VisuallyHidden } from '@mantine/core'

import { Failure } from './Failure'

/** Grey lines in the place of what is on its way. */
export function Loading({ lines = 6 }: { lines?: number }) {
  return (
    <Stack gap="xs" aria-busy="true">
      <VisuallyHidden role="status">Loading</VisuallyHidden>
      {Array.from({ length: lines }, (_, i) => <Skeleton key={i} height={22} width={`${96 - (i % 3) * 12}%`} />)}
    </Stack>
  )
}

/** What stands in the place of an answer that is not here: on its way, or failed. */
export function Waiting({ query, what }: { query: { error: unknown; refetch: () => unknown }; what: string }) {
  if (query.error !== null && query.error !== undefined) return <Failure what={what} error={query.error} retry={() => void query.refetch()} />
  return <Loading />
}
