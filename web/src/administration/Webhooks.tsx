import { Anchor, Button, Group, Text } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { Link } from 'react-router'

import { api, type Schemas } from '../api/client'
import { Confirm } from '../ui/Confirm'
import { DataTable } from '../ui/DataTable'
import { Empty } from '../ui/Empty'
import { Failure } from '../ui/Failure'
import { Waiting } from '../ui/Loading'
import { Page } from '../ui/Page'
import type { Column } from '../ui/rows'
import { Verdict } from '../ui/Verdict'
import { WebhookForm } from './WebhookForm'

type Webhook = Schemas['Webhook']

/** Who is told of what. */
export function Component() {
  const queries = useQueryClient()
  const [editing, setEditing] = useState<Webhook | 'new'>()
  const [removing, setRemoving] = useState<Webhook>()
  const list = api.useQuery('get', '/webhooks')
  const remove = api.useMutation('delete', '/webhooks/{name}', { onSuccess: async () => {
    setRemoving(undefined)
    await queries.invalidateQueries({ queryKey: ['get', '/webhooks'] })
  } })
  const columns: Column<Webhook>[] = [
    { key: 'name', title: 'Webhook', lead: true, render: (w) => <Anchor component={Link} to={`/administration/webhooks/${encodeURIComponent(w.name)}`} fw={600} fz="inherit">{w.name}</Anchor> },
    { key: 'kind', title: 'Kind', brief: true, render: (w) => w.kind },
    { key: 'to', title: 'Told at', render: (w) => <span className="break">{w.kind === 'email' ? (w.recipients ?? []).join(', ') : w.url}</span> },
    { key: 'of', title: 'Of', render: (w) => told(w) },
    { key: 'state', title: 'State', brief: true, render: (w) => (w.enabled ? <Verdict kind="good">on</Verdict> : <Text span size="sm" c="dimmed">switched off</Text>) },
    { key: 'go', title: 'Actions', quiet: true, render: (w) => (
      <Group gap={6}>
        <Button size="compact-xs" variant="default" aria-label={`Edit ${w.name}`} onClick={() => setEditing(w)}>Edit</Button>
        <Button size="compact-xs" variant="default" aria-label={`Delete ${w.name}`} onClick={() => setRemoving(w)}>Delete</Button>
      </Group>
    ) },
  ]
  return (
    <Page title="Webhooks" trail={[{ to: '/administration/system', label: 'Administration' }]} lead="Programs, channels and people that are told of what happens: new findings, assessments that expire, refused pulls, feeds and jobs that fail."
      actions={<Button leftSection={<IconPlus size={15} aria-hidden />} onClick={() => setEditing('new')}>Create webhook</Button>}
    >
      {list.data ? <DataTable caption="Webhooks" columns={columns} rows={list.data.items} rowKey={(w) => w.name} empty={<Empty title="Nobody is told">Create a webhook for a program, Slack, Teams or e-mail.</Empty>} /> : <Waiting query={list} what="The webhooks cannot be shown" />}
      <Failure what="It was not deleted" error={remove.error} />
      {editing && <WebhookForm webhook={editing === 'new' ? undefined : editing} onClose={() => setEditing(undefined)} />}
      {removing && (
        <Confirm opened title={`Delete the webhook ${removing.name}?`} action={`Delete ${removing.name}`} busy={remove.isPending} error={remove.error} onClose={() => setRemoving(undefined)} onConfirm={() => remove.mutate({ params: { path: { name: removing.name } } })}>
          It is told of nothing any more, and what it was told is forgotten.
        </Confirm>
      )}
    </Page>
  )
}

/** What a webhook is told of, in words. */
export function told(w: Pick<Webhook, 'events' | 'registries' | 'min_severity' | 'exploited_only'>): string {
  const parts = [(w.events ?? []).length === 0 ? 'everything' : (w.events ?? []).join(', ')]
  if ((w.registries ?? []).length > 0) parts.push(`in ${(w.registries ?? []).join(', ')}`)
  if (w.min_severity !== undefined && w.min_severity !== 'unknown') parts.push(`from ${w.min_severity} on`)
  if (w.exploited_only) parts.push('if exploited')
  return parts.join(' ')
}
