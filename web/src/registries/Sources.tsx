import { Anchor, Button, Group, Select, Stack, Text } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { Link } from 'react-router'

import { Dialog } from '../ui/Dialog'
import { api, type Schemas } from '../api/client'
import { Confirm } from '../ui/Confirm'
import { DataTable } from '../ui/DataTable'
import { Empty } from '../ui/Empty'
import { Failure } from '../ui/Failure'
import { Waiting } from '../ui/Loading'
import { Panel } from '../ui/Panel'
import { When } from '../ui/When'

type Source = Schemas['RegistrySource']

/** The vulnerability sources of a registry, with Add. */
export function Sources({ registry, administrator }: { registry: string; administrator: boolean }) {
  const queries = useQueryClient()
  const [adding, setAdding] = useState(false)
  const [removing, setRemoving] = useState<Source>()
  const list = api.useQuery('get', '/registries/{registry}/vulnerability-sources', { params: { path: { registry } } })
  const refresh = () => queries.invalidateQueries({ predicate: (q) => q.queryKey[1] !== '/session' })
  const detach = api.useMutation('delete', '/registries/{registry}/vulnerability-sources/{source}', { onSuccess: async () => {
    setRemoving(undefined)
    await refresh()
  } })
  return (
    <Panel title="Vulnerability sources" actions={administrator ? <Button size="xs" leftSection={<IconPlus size={14} aria-hidden />} onClick={() => setAdding(true)}>Add</Button> : undefined}>
      {list.data ? (
        <DataTable
          caption={`Vulnerability sources of ${registry}`} rows={list.data.items} rowKey={(s) => s.name}
          empty={<Empty title="No source judges this registry">Its images are unknown, not clean. Press Add.</Empty>}
          columns={[
            { key: 'name', title: 'Source', lead: true, render: (s) => <Anchor component={Link} to={`/administration/vulnerability-sources/${s.name}`} fz="inherit" fw={600}>{s.name}</Anchor> },
            { key: 'extension', title: 'Extension', render: (s) => s.extension },
            { key: 'since', title: 'Attached', render: (s) => (s.attached_at ? <When time={s.attached_at} /> : 'from the start') },
            { key: 'go', title: 'Actions', quiet: true, render: (s) => (administrator ? <Button size="compact-xs" variant="default" aria-label={`Detach ${s.name}`} onClick={() => setRemoving(s)}>Detach</Button> : null) },
          ]}
        />
      ) : <Waiting query={list} what="The sources cannot be shown" />}
      {adding && <Add registry={registry} attached={list.data?.items.map((s) => s.name) ?? []} onClose={() => setAdding(false)} />}
      {removing && (
        <Confirm opened title={`Detach ${removing.name} from ${registry}?`} action="Detach" busy={detach.isPending} error={detach.error} onClose={() => setRemoving(undefined)} onConfirm={() => detach.mutate({ params: { path: { registry, source: removing.name } } })}>
          What {removing.name} reported does not count in {registry} any more. Attach it again, and it counts at once.
        </Confirm>
      )}
    </Panel>
  )
}

function Add({ registry, attached, onClose }: { registry: string; attached: string[]; onClose: () => void }) {
  const queries = useQueryClient()
  const all = api.useQuery('get', '/vulnerability-sources')
  const free = (all.data?.items ?? []).filter((s) => !attached.includes(s.name))
  const [chosen, setChosen] = useState('')
  const source = chosen || free[0]?.name || ''
  const attach = api.useMutation('put', '/registries/{registry}/vulnerability-sources/{source}', {
    onSuccess: async (answer) => {
      await queries.invalidateQueries({ predicate: (q) => q.queryKey[1] !== '/session' })
      if (answer.warnings.length === 0) onClose()
    },
  })
  return (
    <Dialog opened onClose={onClose} title={`Add a vulnerability source to ${registry}`}>
      {attach.data ? (
        <Stack gap="sm">
          <Text size="sm">{source} is attached, but it cannot work yet:</Text>
          {attach.data.warnings.map((w) => <Text key={w} size="sm" c="var(--warn)">{w}</Text>)}
          <Text size="sm">The base URL is set under <Anchor component={Link} to="/administration/advanced-settings" fz="inherit">Advanced Settings</Anchor>, as Web.BaseUrl.</Text>
          <Group justify="flex-end"><Button onClick={onClose}>Close</Button></Group>
        </Stack>
      ) : (
        <form onSubmit={(e) => { e.preventDefault(); attach.mutate({ params: { path: { registry, source } } }) }}>
          <Stack gap="sm">
            {all.data && free.length === 0 ? (
              <Text size="sm">All sources are attached. Make another one under <Anchor component={Link} to="/administration/vulnerability-sources" fz="inherit">Vulnerability Sources</Anchor>.</Text>
            ) : <Select label="Vulnerability source" data={free.map((s) => s.name)} value={source} onChange={(v) => setChosen(v ?? '')} />}
            <Failure what="It was not attached" error={attach.error} />
            <Group justify="flex-end"><Button variant="default" onClick={onClose}>Cancel</Button><Button type="submit" disabled={source === ''} loading={attach.isPending}>Add</Button></Group>
          </Stack>
        </form>
      )}
    </Dialog>
  )
}
