import { Anchor, Breadcrumbs, Group, Text, Title } from '@mantine/core'
import { type ReactNode, useEffect } from 'react'
import { Link } from 'react-router'

import { digestsOff } from './title'

interface Props {
  title: string
  /** The ways back, from the top. */
  trail?: { to: string; label: string }[]
  actions?: ReactNode
  /** One line on what the page is for. */
  lead?: ReactNode
  /** What stands in the place of the title as text. */
  heading?: ReactNode
  children: ReactNode
}

/** A page with its heading, which names the window, too. */
export function Page({ title, trail = [], actions, lead, heading, children }: Props) {
  useEffect(() => {
    document.title = `${digestsOff(title)} · Pratique`
  }, [title])
  return (
    <>
      {trail.length > 0 && (
        <nav aria-label="Breadcrumbs">
          <Breadcrumbs mb={4} fz="xs" separatorMargin={6} style={{ flexWrap: 'wrap' }}>
            {trail.map((t) => <Anchor key={t.to} component={Link} to={t.to} fz="xs" className="break">{t.label}</Anchor>)}
          </Breadcrumbs>
        </nav>
      )}
      <Group justify="space-between" align="flex-start" mb="md" gap="sm">
        <div style={{ minWidth: 0, flex: '1 1 260px' }}>
          <Title order={1} className="break">{heading ?? title}</Title>
          {lead !== undefined && <Text component="div" size="sm" c="dimmed" mt={2} maw={760}>{lead}</Text>}
        </div>
        {actions !== undefined && <Group gap="xs">{actions}</Group>}
      </Group>
      {children}
    </>
  )
}
