import { Button } from '@mantine/core'
import { IconX } from '@tabler/icons-react'

import type { UrlState } from '../ui/urlState'

/** Says that a list has only what one layer introduced, and takes that away. */
export function OfLayer({ url }: { url: UrlState }) {
  const layer = url.get('layer')
  if (layer === '') return null
  return <Button size="xs" variant="light" rightSection={<IconX size={13} aria-hidden />} aria-label={`Only layer ${layer}. Show all layers`} onClick={() => url.set({ layer: '' })}>Only layer {layer}</Button>
}
