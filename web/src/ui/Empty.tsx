import { Paper, Text, Title } from '@mantine/core'
import type { ReactNode } from 'react'

/** Says that there is nothing, and what to do next. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <Paper p="lg" style={{ borderStyle: 'dashed', background: 'transparent' }}>
      <Title order={2} size="h3" mb={4}>{title}</Title>
      <Text component="div" size="sm" c="dimmed" maw={620}>{children}</Text>
    </Paper>
  )
}
