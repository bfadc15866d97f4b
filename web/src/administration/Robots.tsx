import { Button, Group, NativeSelect, Stack, Text, TextInput } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'

import { api, type Schemas, wrongWith } from '../api/client'
import { may, useAdministrator, useSession } from '../shell/session'
import { Command } from '../ui/Command'
import { Confirm } from '../ui/Confirm'
import { Dialog } from '../ui/Dialog'
import { Empty } from '../ui/Empty'
import { Failure } from '../ui/Failure'
import { FormDialog } from '../ui/FormDialog'
import { Waiting } from '../ui/Loading'
import { LocalList } from '../ui/LocalList'
import { Page } from '../ui/Page'
import type { Column } from '../ui/rows'
import { When } from '../ui/When'
import { endOf, isDate } from '../vulnerabilities/expiry'
import { AccountTabs } from './AccountTabs'
import { roles, type RoleName, roleWords } from './roleWords'

type Robot = Schemas['Robot']

const key = ['get', '/robots']

export function Component() {
  const queries = useQueryClient()
  const administrator = useAdministrator()
  const me = useSession().data?.user
  const [creating, setCreating] = useState(false)
  const [editing, setEditing] = useState<Robot>()
  const [removing, setRemoving] = useState<Robot>()
  const [renewing, setRenewing] = useState<Robot>()
  const list = api.useQuery('get', '/robots')
  const onSuccess = () => queries.invalidateQueries({ queryKey: key })
  const change = api.useMutation('patch', '/robots/{id}', { onSuccess })
  const renew = api.useMutation('post', '/robots/{id}/secret', { onSuccess: async () => {
    setRenewing(undefined)
    await onSuccess()
  } })
  const remove = api.useMutation('delete', '/robots/{id}', { onSuccess: async () => {
    setRemoving(undefined)
    await onSuccess()
  } })
  const state = (r: Robot) => (r.disabled ? 'disabled' : r.expires_at && Date.parse(r.expires_at) <= Date.now() ? 'expired' : 'works')
  const columns: Column<Robot>[] = [
    { key: 'name', title: 'Robot', lead: true, value: (r) => r.name, render: (r) => <><b>{r.login}</b> <code>{r.prefix}…</code>{r.description && <Text size="xs" c="dimmed">{r.description}</Text>}</> },
    { key: 'registry', title: 'Belongs to', brief: true, value: (r) => r.registry, render: (r) => r.registry || 'all registries' },
    { key: 'roles', title: 'Roles', brief: true, value: (r) => roleWords(r.roles), render: (r) => roleWords(r.roles) || 'none' },
    { key: 'state', title: 'State', brief: true, value: state, render: state },
    { key: 'used', title: 'Last used', brief: true, value: (r) => Date.parse(r.last_used_at ?? '') || 0, render: (r) => <When time={r.last_used_at} /> },
    { key: 'expires', title: 'Expires', brief: true, value: (r) => Date.parse(r.expires_at ?? '') || Infinity, render: (r) => <When time={r.expires_at} /> },
    { key: 'go', title: 'Actions', quiet: true, render: (r) => (
      <Group gap={6}>
        <Button size="compact-xs" variant="default" aria-label={`Edit ${r.name}`} onClick={() => setEditing(r)}>Edit</Button>
        <Button size="compact-xs" variant="default" aria-label={`${r.disabled ? 'Enable' : 'Disable'} ${r.name}`} onClick={() => change.mutate({ params: { path: { id: r.id } }, body: { disabled: !r.disabled } })}>{r.disabled ? 'Enable' : 'Disable'}</Button>
        <Button size="compact-xs" variant="default" aria-label={`New secret for ${r.name}`} onClick={() => setRenewing(r)}>New secret</Button>
        <Button size="compact-xs" variant="default" aria-label={`Delete ${r.name}`} onClick={() => setRemoving(r)}>Delete</Button>
      </Group>
    ) },
  ]
  const could = may(me, 'administer') || (me?.registries.some((r) => r.rights.includes('administer')) ?? false)
  return (
    <Page title="Users & API Keys" trail={[{ to: '/administration/system', label: 'Administration' }]}
      actions={could && <Button leftSection={<IconPlus size={15} aria-hidden />} onClick={() => setCreating(true)}>New robot</Button>}
    >
      <AccountTabs value="robots" administrator={administrator}>
        <Failure what="It was not changed" error={change.error} />
        {list.data ? <LocalList caption="Robots" columns={columns} rows={list.data.items} rowKey={(r) => String(r.id)} text={(r) => `${r.name} ${r.registry} ${r.description}`} searchLabel="Search robots" defaultSort="name" empty={<Empty title="No robots">A robot is a program with a name, a secret and roles of its own. You see those of registries that you may administer.</Empty>} /> : <Waiting query={list} what="The robots cannot be shown" />}
      </AccountTabs>
      {creating && <Create onClose={() => setCreating(false)} />}
      {editing && <Edit robot={editing} onClose={() => setEditing(undefined)} />}
      {renew.data?.secret && <Dialog opened onClose={() => renew.reset()} title="The new secret" closeOnClickOutside={false} size="lg"><Secret robot={renew.data} onClose={() => renew.reset()} /></Dialog>}
      {renewing && (
        <Confirm opened title={`Give ${renewing.login} another secret?`} action="New secret" busy={renew.isPending} error={renew.error} onClose={() => setRenewing(undefined)} onConfirm={() => renew.mutate({ params: { path: { id: renewing.id } } })}>
          Programs that use <code>{renewing.prefix}…</code> are refused from now on.
        </Confirm>
      )}
      {removing && (
        <Confirm opened title={`Delete ${removing.login}?`} action={`Delete ${removing.name}`} busy={remove.isPending} error={remove.error} onClose={() => setRemoving(undefined)} onConfirm={() => remove.mutate({ params: { path: { id: removing.id } } })}>
          What it is pushing is refused at its next request. What it has pushed stays.
        </Confirm>
      )}
    </Page>
  )
}

/** The last day on which something works that expires at a time. */
function lastDay(expires: string | null): string {
  return expires ? new Date(Date.parse(expires) - 1).toISOString().slice(0, 10) : ''
}

/** Changes what may change of a robot. */
function Edit({ robot, onClose }: { robot: Robot; onClose: () => void }) {
  const queries = useQueryClient()
  const [description, setDescription] = useState(robot.description)
  const [until, setUntil] = useState(lastDay(robot.expires_at))
  const change = api.useMutation('patch', '/robots/{id}', { onSuccess: async () => {
    await queries.invalidateQueries({ queryKey: key })
    onClose()
  } })
  return (
    <FormDialog title={`Edit ${robot.login}`} busy={change.isPending} error={change.error} onClose={onClose} onSubmit={() => {
      // A day that stays is not sent: one that is over would be refused.
      const expiry = until === lastDay(robot.expires_at) ? {} : { expires_at: isDate(until) ? endOf(until) : null }
      change.mutate({ params: { path: { id: robot.id } }, body: { description, ...expiry } })
    }}
    >
      <TextInput label="Description" value={description} onChange={(e) => setDescription(e.currentTarget.value)} error={wrongWith('description', change.error)} data-autofocus />
      <TextInput type="date" label="Last day" description="Empty: it works until it is deleted" value={until} onChange={(e) => setUntil(e.currentTarget.value)} error={wrongWith('expires_at', change.error)} maw={220} />
    </FormDialog>
  )
}

function Secret({ robot, onClose }: { robot: Robot; onClose: () => void }) {
  return (
    <Stack gap="sm">
      <Text size="sm">Copy it now: it is shown this once.</Text>
      <Command label="Copy the secret">{robot.secret ?? ''}</Command>
      <Text size="sm">To push and pull with it:</Text>
      <Command>{`docker login -u ${robot.login} ${window.location.host}`}</Command>
      <Group justify="flex-end"><Button onClick={onClose}>I have it</Button></Group>
    </Stack>
  )
}

function Create({ onClose }: { onClose: () => void }) {
  const queries = useQueryClient()
  const me = useSession().data?.user
  const registries = api.useQuery('get', '/registries', { params: { query: { page_size: 1000 } } })
  const own = registries.data?.items.filter((r) => may(me, 'administer', r.name)) ?? []
  const all = may(me, 'administer')
  const [name, setName] = useState('')
  const [chosen, setRegistry] = useState<string>()
  const [role, setRole] = useState<RoleName>('publish')
  const [description, setDescription] = useState('')
  const [until, setUntil] = useState('')
  const registry = chosen ?? own[0]?.name ?? ''
  const create = api.useMutation('post', '/robots', { onSuccess: () => queries.invalidateQueries({ queryKey: key }) })
  return (
    <Dialog opened onClose={onClose} title={create.data ? 'The new robot' : 'New robot'} closeOnClickOutside={!create.data} size="lg">
      {create.data ? <Secret robot={create.data} onClose={onClose} /> : (
        <form onSubmit={(e) => {
          e.preventDefault()
          create.mutate({ body: { name, description, registry, roles: [{ role, registry }], ...(isDate(until) ? { expires_at: endOf(until) } : {}) } })
        }}>
          <Stack gap="sm">
            <TextInput label="Name" description="Lower-case letters and digits, as in ci" required value={name} onChange={(e) => setName(e.currentTarget.value)} error={wrongWith('name', create.error)} data-autofocus autoCapitalize="none" spellCheck={false} />
            <TextInput label="Description" value={description} onChange={(e) => setDescription(e.currentTarget.value)} error={wrongWith('description', create.error)} />
            <NativeSelect label="Registry" error={wrongWith('registry', create.error)} value={registry} onChange={(e) => setRegistry(e.currentTarget.value)} data={[...own.map((r) => ({ value: r.name, label: r.name })), ...(all ? [{ value: '', label: 'all registries' }] : [])]} />
            <NativeSelect label="Role" error={wrongWith('roles', create.error)} value={role} onChange={(e) => setRole(e.currentTarget.value as RoleName)} data={roles} />
            <TextInput type="date" label="Last day" description="Empty: it works until it is deleted" value={until} onChange={(e) => setUntil(e.currentTarget.value)} error={wrongWith('expires_at', create.error)} maw={220} />
            <Failure what="The robot was not made" error={create.error} />
            <Group justify="flex-end"><Button variant="default" onClick={onClose}>Cancel</Button><Button type="submit" loading={create.isPending}>Make it</Button></Group>
          </Stack>
        </form>
      )}
    </Dialog>
  )
}
