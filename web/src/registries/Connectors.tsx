import { Anchor, Button, Group, Select, Text } from '@mantine/core'
import { useQueryClient } from '@tanstack/react-query'
import { Link } from 'react-router'

import { api } from '../api/client'
import { DataTable } from '../ui/DataTable'
import { Empty } from '../ui/Empty'
import { Failure } from '../ui/Failure'
import { Waiting } from '../ui/Loading'
import { Panel } from '../ui/Panel'

/** The connectors of a registry, in the order in which they are asked. */
export function Connectors({ registry }: { registry: string }) {
  const queries = useQueryClient()
  const list = api.useQuery('get', '/registries/{registry}/connectors', { params: { path: { registry } } })
  const all = api.useQuery('get', '/connectors')
  const change = api.useMutation('put', '/registries/{registry}/connectors', {
    onSuccess: () => queries.invalidateQueries({ queryKey: ['get', '/registries/{registry}/connectors'] }),
  })
  const names = list.data?.items.map((c) => c.name) ?? []
  const free = (all.data?.items ?? []).map((c) => c.name).filter((name) => !names.includes(name))
  const set = (connectors: string[]) => change.mutate({ params: { path: { registry } }, body: { connectors } })
  return (
    <Panel title="Connectors" actions={<Anchor component={Link} to="/administration/connectors" fz="sm">all connectors</Anchor>}>
      {list.data ? (
        <DataTable
          caption={`Connectors of ${registry}`} rows={list.data.items} rowKey={(c) => c.name}
          empty={<Empty title="No connector">{`${registry} holds what is pushed to it alone.`}</Empty>}
          columns={[
            { key: 'name', title: 'Connector', lead: true, render: (c) => <Text span fw={600} fz="inherit">{c.name}</Text> },
            { key: 'url', title: 'Upstream', render: (c) => <span className="mono break">{c.url}</span> },
            { key: 'go', title: 'Actions', quiet: true, render: (c) => (
              <Group gap={6}>
                {names[0] !== c.name && <Button size="compact-xs" variant="default" aria-label={`Ask ${c.name} first`} loading={change.isPending} onClick={() => set([c.name, ...names.filter((n) => n !== c.name)])}>Ask first</Button>}
                <Button size="compact-xs" variant="default" aria-label={`Detach ${c.name}`} loading={change.isPending} onClick={() => set(names.filter((n) => n !== c.name))}>Detach</Button>
              </Group>
            ) },
          ]}
        />
      ) : <Waiting query={list} what="The connectors cannot be shown" />}
      {free.length > 0 && <Select mt="sm" maw={320} label="Attach a connector" placeholder="Choose one" data={free} value={null} disabled={change.isPending || !list.data} onChange={(name) => { if (name) set([...names, name]) }} />}
      <Failure what="It was not saved" error={change.error} />
    </Panel>
  )
}
