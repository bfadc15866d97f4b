import { Text } from '@mantine/core'
import { useEffect, useRef } from 'react'

import { api } from '../api/client'
import { plural } from './format'
import { useRefresh } from './refresh'

/** Says while figures and lists lag behind what has just changed, and asks for them again when they are right. */
export function Counting() {
  const refresh = useRefresh()
  const stats = api.useQuery('get', '/stats', undefined, { refetchInterval: (q) => ((q.state.data?.uncounted ?? 0) > 0 ? 2000 : 30_000) })
  const left = stats.data?.uncounted ?? 0
  const before = useRef(0)
  useEffect(() => {
    if (before.current > 0 && left === 0) void refresh()
    before.current = left
  }, [left, refresh])
  return (
    <Text size="xs" c="dimmed" component="div" role="status" mb={left > 0 ? 'xs' : 0}>
      {left > 0 && `Much has just changed. ${plural(left, 'image or vulnerability is', 'images and vulnerabilities are')} still to be counted here; the findings and verdict of an image are already those of now.`}
    </Text>
  )
}
