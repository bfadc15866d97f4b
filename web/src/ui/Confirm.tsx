import { Button, Group, Text, TextInput } from '@mantine/core'
import { type ReactNode, useState } from 'react'

import { Dialog } from './Dialog'
import { Failure } from './Failure'

interface Props {
  opened: boolean
  title: string
  /** What is destroyed, by name. */
  children: ReactNode
  action: string
  /** What has to be typed where much is lost. */
  typed?: string
  busy: boolean
  error: unknown
  onConfirm: () => void
  onClose: () => void
}

/** Asks before something is destroyed. */
export function Confirm({ opened, title, children, action, typed, busy, error, onConfirm, onClose }: Props) {
  const [text, setText] = useState('')
  return (
    <Dialog opened={opened} onClose={onClose} title={title}>
      <form onSubmit={(e) => { e.preventDefault(); onConfirm() }}>
        <Text component="div" size="sm">{children}</Text>
        {typed !== undefined && (
          <TextInput mt="sm" label={`Type ${typed} to confirm`} value={text} onChange={(e) => setText(e.currentTarget.value)} data-autofocus />
        )}
        <Failure what="It was not done" error={error} />
        <Group justify="flex-end" mt="md">
          <Button variant="default" onClick={onClose}>Cancel</Button>
          <Button type="submit" color="red.9" loading={busy} disabled={typed !== undefined && text !== typed}>{action}</Button>
        </Group>
      </form>
    </Dialog>
  )
}
