import { Button, Group, NativeSelect, Stack, Text, TextInput } from '@mantine/core'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'

import { roles, type RoleName } from '../administration/roleWords'
import { api, type Schemas, wrongWith } from '../api/client'
import { Confirm } from '../ui/Confirm'
import { DataTable } from '../ui/DataTable'
import { Empty } from '../ui/Empty'
import { Failure } from '../ui/Failure'
import { Waiting } from '../ui/Loading'
import { Panel } from '../ui/Panel'
import type { Column } from '../ui/rows'
import { When } from '../ui/When'

type Role = Schemas['Role']

/** Who has which role in a registry; everywhere where it is ''. */
export function Roles({ registry }: { registry: string }) {
  const queries = useQueryClient()
  const [revoking, setRevoking] = useState<Role>()
  const here = api.useQuery('get', '/registries/{registry}/roles', { params: { path: { registry } } }, { enabled: registry !== '' })
  const everywhere = api.useQuery('get', '/roles', undefined, { enabled: registry === '' })
  const list = registry === '' ? everywhere : here
  const changed = async () => {
    setRevoking(undefined)
    await Promise.all([queries.invalidateQueries({ queryKey: ['get', '/registries/{registry}/roles'] }), queries.invalidateQueries({ queryKey: ['get', '/roles'] })])
  }
  const revokeHere = api.useMutation('delete', '/registries/{registry}/roles/{id}', { onSuccess: changed })
  const revokeEverywhere = api.useMutation('delete', '/roles/{id}', { onSuccess: changed })
  const revoke = (id: number) => (registry === '' ? revokeEverywhere.mutate({ params: { path: { id } } }) : revokeHere.mutate({ params: { path: { registry, id } } }))
  const columns: Column<Role>[] = [
    { key: 'to', title: 'Who', lead: true, render: (r) => <><b>{r.to.name}</b> <Text span size="sm" c="dimmed">{r.to.kind}</Text></> },
    { key: 'role', title: 'Role', brief: true, render: (r) => r.role },
    { key: 'where', title: 'Where', brief: true, render: (r) => (r.registry === '' ? 'everywhere' : 'here') },
    { key: 'by', title: 'Granted by', brief: true, render: (r) => r.granted_by },
    { key: 'at', title: 'Granted', brief: true, render: (r) => <When time={r.created_at} /> },
    { key: 'go', title: 'Actions', quiet: true, render: (r) => (r.registry === registry
      ? <Button size="compact-xs" variant="default" aria-label={`Take back ${r.role} from ${r.to.name}`} onClick={() => setRevoking(r)}>Take back</Button> : null) },
  ]
  return (
    <Panel title={registry === '' ? 'Roles everywhere' : 'Roles'}>
      <Stack gap="sm">
        <Text size="sm">Rights add up. Administrators of the program may do everything, and are not listed.</Text>
        {list.data ? <DataTable caption="Roles" columns={columns} rows={list.data.items} rowKey={(r) => String(r.id)} empty={<Empty title="Nobody has a role yet" />} /> : <Waiting query={list} what="The roles cannot be shown" />}
        <Grant registry={registry} onGranted={changed} />
      </Stack>
      {revoking && (
        <Confirm opened title={`Take back ${revoking.role} from ${revoking.to.name}?`} action="Take it back" busy={revokeHere.isPending || revokeEverywhere.isPending}
          error={revokeHere.error ?? revokeEverywhere.error} onClose={() => setRevoking(undefined)} onConfirm={() => revoke(revoking.id)}>
          It holds from now on, also for what is being pushed. What {revoking.to.name} may do by another role, or by a group, stays.
        </Confirm>
      )}
    </Panel>
  )
}

function Grant({ registry, onGranted }: { registry: string; onGranted: () => Promise<void> }) {
  const [kind, setKind] = useState<Role['to']['kind']>('user')
  const [name, setName] = useState('')
  const [role, setRole] = useState<RoleName>('read')
  const onSuccess = async () => {
    setName('')
    await onGranted()
  }
  const here = api.useMutation('post', '/registries/{registry}/roles', { onSuccess })
  const everywhere = api.useMutation('post', '/roles', { onSuccess })
  const body = { role, to: { kind, name } }
  const error = here.error ?? everywhere.error
  return (
    <form onSubmit={(e) => {
      e.preventDefault()
      if (registry === '') everywhere.mutate({ body })
      else here.mutate({ params: { path: { registry } }, body })
    }}>
      <Stack gap="sm">
        <Group align="flex-start" gap="sm">
          <NativeSelect label="Grant to a" value={kind} onChange={(e) => setKind(e.currentTarget.value as Role['to']['kind'])} data={['user', 'group', 'robot']} />
          <TextInput label="Name" required value={name} onChange={(e) => setName(e.currentTarget.value)} error={wrongWith('to', error)} autoCapitalize="none" spellCheck={false} />
          <NativeSelect label="Role" error={wrongWith('role', error)} value={role} onChange={(e) => setRole(e.currentTarget.value as RoleName)} data={roles} maw="100%" />
          <Button mt={22} type="submit" loading={here.isPending || everywhere.isPending}>Grant it</Button>
        </Group>
        <Failure what="It was not granted" error={error} />
      </Stack>
    </form>
  )
}
