import { Button, Group, Text } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'

import { api, type Schemas } from '../api/client'
import { Confirm } from '../ui/Confirm'
import { DataTable } from '../ui/DataTable'
import { Empty } from '../ui/Empty'
import { Failure } from '../ui/Failure'
import { Waiting } from '../ui/Loading'
import { Page } from '../ui/Page'
import type { Column } from '../ui/rows'
import { Verdict } from '../ui/Verdict'
import { ConnectorForm } from './ConnectorForm'

type Connector = Schemas['Connector']

export function Component() {
  const queries = useQueryClient()
  const [editing, setEditing] = useState<Connector | 'new'>()
  const [removing, setRemoving] = useState<Connector>()
  const list = api.useQuery('get', '/connectors')
  const remove = api.useMutation('delete', '/connectors/{name}', { onSuccess: async () => {
    setRemoving(undefined)
    await queries.invalidateQueries({ predicate: (q) => q.queryKey[1] !== '/session' })
  } })
  const columns: Column<Connector>[] = [
    { key: 'name', title: 'Connector', lead: true, render: (c) => <Text span fw={600} fz="inherit">{c.name}</Text> },
    { key: 'url', title: 'Upstream', render: (c) => <span className="mono break">{c.url}</span> },
    { key: 'user', title: 'Signs in', render: (c) => (c.username === '' ? 'no' : `as ${c.username}`) },
    { key: 'what', title: 'Repositories', render: (c) => `${c.allowed.length === 0 ? 'all' : c.allowed.join(', ')}${c.denied.length === 0 ? '' : `, but ${c.denied.join(', ')}`}` },
    { key: 'go', title: 'Actions', quiet: true, render: (c) => (
      <Group gap={6}>
        <TestButton name={c.name} />
        <Button size="compact-xs" variant="default" aria-label={`Edit ${c.name}`} onClick={() => setEditing(c)}>Edit</Button>
        <Button size="compact-xs" variant="default" aria-label={`Delete ${c.name}`} onClick={() => setRemoving(c)}>Delete</Button>
      </Group>
    ) },
  ]
  return (
    <Page title="Connectors" trail={[{ to: '/administration/system', label: 'Administration' }]} lead="The upstream registries that yours pull through. Attach them to a registry under Manage Registry."
      actions={<Button leftSection={<IconPlus size={15} aria-hidden />} onClick={() => setEditing('new')}>Create connector</Button>}
    >
      {list.data ? (
        <DataTable caption="Connectors" columns={columns} rows={list.data.items} rowKey={(c) => c.name} empty={<Empty title="No connector yet">Registries hold what is pushed to them alone.</Empty>} />
      ) : <Waiting query={list} what="The connectors cannot be shown" />}
      {editing && <ConnectorForm connector={editing === 'new' ? undefined : editing} onClose={() => setEditing(undefined)} />}
      {removing && (
        <Confirm opened title={`Delete the connector ${removing.name}?`} action={`Delete ${removing.name}`} busy={remove.isPending} error={remove.error} onClose={() => setRemoving(undefined)} onConfirm={() => remove.mutate({ params: { path: { name: removing.name } } })}>
          No registry pulls through it any more. The images that came by it stay.
        </Confirm>
      )}
    </Page>
  )
}

/** Asks upstream whether it is a registry, and says what is wrong where something is. */
function TestButton({ name }: { name: string }) {
  const test = api.useMutation('post', '/connectors/{name}/test')
  return (
    <>
      <Button size="compact-xs" variant="default" aria-label={`Test connection to ${name}`} loading={test.isPending} onClick={() => test.mutate({ params: { path: { name } } })}>Test connection</Button>
      <span role="status">{test.data && (test.data.ok ? <Verdict kind="good">it answers</Verdict> : <Verdict kind="bad"><Text span size="sm" className="break">{test.data.message}</Text></Verdict>)}</span>
      <Failure what="It was not tested" error={test.error} />
    </>
  )
}
