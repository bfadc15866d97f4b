import { Button, Group, NativeSelect, Text } from '@mantine/core'

import { number } from './format'

interface Props {
  from?: number
  to?: number
  /** How many there are; absent where nobody counted. */
  of?: number
  size: number
  onSize: (size: number) => void
  onPrevious?: () => void
  onNext?: () => void
  previousLabel?: string
}

const sizes = ['25', '50', '100', '200']

/** Where a page of a list stands, and the ways to the others. */
export function Pager({ from, to, of, size, onSize, onPrevious, onNext, previousLabel = 'Previous' }: Props) {
  if (onPrevious === undefined && onNext === undefined && (of ?? 0) <= 25) return null
  return (
    <Group justify="space-between" mt="xs" gap="xs">
      <Text size="xs" c="dimmed" role="status" className="nums">
        {of !== undefined && from !== undefined && to !== undefined ? `${number(from)}–${number(to)} of ${number(of)}` : ''}
      </Text>
      <Group gap="xs">
        <NativeSelect size="xs" aria-label="Rows on a page" data={sizes} value={String(size)} onChange={(e) => onSize(Number(e.currentTarget.value))} w={72} />
        <Button size="xs" variant="default" disabled={onPrevious === undefined} onClick={onPrevious}>{previousLabel}</Button>
        <Button size="xs" variant="default" disabled={onNext === undefined} onClick={onNext}>Next</Button>
      </Group>
    </Group>
  )
}
