import { Button, Group, Stack } from '@mantine/core'
import type { ReactNode } from 'react'

import { Dialog } from './Dialog'
import { Failure } from './Failure'

interface Props {
  title: string
  size?: string
  children: ReactNode
  action?: string
  /** What is said where it went wrong, as in "It was not saved". */
  what?: string
  busy: boolean
  error: unknown
  onSubmit: () => void
  onClose: () => void
  /** Shows the form as things are now, after someone else changed them. */
  reload?: () => void
}

/** A dialog in which something is filled in. */
export function FormDialog({ title, size, children, action = 'Save', what = 'It was not saved', busy, error, onSubmit, onClose, reload }: Props) {
  return (
    <Dialog opened onClose={onClose} title={title} size={size}>
      <form onSubmit={(e) => { e.preventDefault(); onSubmit() }}>
        <Stack gap="sm">
          {children}
          <Failure what={what} error={error} reload={reload} />
          <Group justify="flex-end"><Button variant="default" onClick={onClose}>Cancel</Button><Button type="submit" loading={busy}>{action}</Button></Group>
        </Stack>
      </form>
    </Dialog>
  )
}
