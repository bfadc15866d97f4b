import { Button, Group, NativeSelect, Stack, Text, TextInput } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'

import { api, type Schemas, wrongWith } from '../api/client'
import { useAdministrator } from '../shell/session'
import { Confirm } from '../ui/Confirm'
import { Dialog } from '../ui/Dialog'
import { Empty } from '../ui/Empty'
import { Failure } from '../ui/Failure'
import { FormDialog } from '../ui/FormDialog'
import { Waiting } from '../ui/Loading'
import { LocalList } from '../ui/LocalList'
import { Page } from '../ui/Page'
import type { Column } from '../ui/rows'
import { AccountTabs } from './AccountTabs'

type Users = Schemas['Group']

const key = ['get', '/groups']

export function Component() {
  const queries = useQueryClient()
  const administrator = useAdministrator()
  const [editing, setEditing] = useState<Users | 'new'>()
  const [showing, setShowing] = useState<number>()
  const [removing, setRemoving] = useState<Users>()
  const list = api.useQuery('get', '/groups', undefined, { enabled: administrator })
  const remove = api.useMutation('delete', '/groups/{id}', { onSuccess: async () => {
    setRemoving(undefined)
    await queries.invalidateQueries({ queryKey: key })
  } })
  const columns: Column<Users>[] = [
    { key: 'name', title: 'Group', lead: true, value: (g) => g.name, render: (g) => <b>{g.name}</b> },
    { key: 'members', title: 'Members', brief: true, value: (g) => g.members.length, render: (g) => g.members.length },
    { key: 'claim', title: 'Claim', brief: true, value: (g) => g.claim, render: (g) => (g.claim === '' ? '' : <code>{g.claim}</code>) },
    { key: 'description', title: 'Description', render: (g) => g.description },
    { key: 'go', title: 'Actions', quiet: true, render: (g) => (
      <Group gap={6}>
        <Button size="compact-xs" variant="default" aria-label={`Members of ${g.name}`} onClick={() => setShowing(g.id)}>Members</Button>
        <Button size="compact-xs" variant="default" aria-label={`Edit ${g.name}`} onClick={() => setEditing(g)}>Edit</Button>
        <Button size="compact-xs" variant="default" aria-label={`Delete ${g.name}`} onClick={() => setRemoving(g)}>Delete</Button>
      </Group>
    ) },
  ]
  const shown = list.data?.items.find((g) => g.id === showing)
  return (
    <Page title="Users & API Keys" trail={[{ to: '/administration/system', label: 'Administration' }]}
      actions={administrator && <Button leftSection={<IconPlus size={15} aria-hidden />} onClick={() => setEditing('new')}>New group</Button>}
    >
      <AccountTabs value="groups" administrator={administrator}>
        {!administrator ? <Text size="sm">Administrators see the groups here.</Text>
          : list.data ? <LocalList caption="Groups" columns={columns} rows={list.data.items} rowKey={(g) => String(g.id)} text={(g) => `${g.name} ${g.claim} ${g.description}`} searchLabel="Search groups" defaultSort="name" empty={<Empty title="No groups">A group is given a role once, for all its members.</Empty>} />
            : <Waiting query={list} what="The groups cannot be shown" />}
      </AccountTabs>
      {editing && <Form group={editing === 'new' ? undefined : editing} onClose={() => setEditing(undefined)} />}
      {shown && <Members group={shown} onClose={() => setShowing(undefined)} />}
      {removing && (
        <Confirm opened title={`Delete the group ${removing.name}?`} action={`Delete ${removing.name}`} busy={remove.isPending} error={remove.error} onClose={() => setRemoving(undefined)} onConfirm={() => remove.mutate({ params: { path: { id: removing.id } } })}>
          Its members stay users, without the roles that they have by it.
        </Confirm>
      )}
    </Page>
  )
}

/** Makes a group, or changes one. */
function Form({ group, onClose }: { group?: Users; onClose: () => void }) {
  const queries = useQueryClient()
  const [name, setName] = useState(group?.name ?? '')
  const [description, setDescription] = useState(group?.description ?? '')
  const [claim, setClaim] = useState(group?.claim ?? '')
  const done = { onSuccess: async () => {
    await queries.invalidateQueries({ queryKey: key })
    onClose()
  } }
  const create = api.useMutation('post', '/groups', done)
  const change = api.useMutation('patch', '/groups/{id}', done)
  const body = { name, description, claim }
  const error = create.error ?? change.error
  return (
    <FormDialog title={group ? `Edit ${group.name}` : 'New group'} action={group ? 'Save' : 'Make it'} what={group ? 'It was not saved' : 'The group was not made'}
      busy={create.isPending || change.isPending} error={error} onClose={onClose} onSubmit={() => {
        if (group) change.mutate({ params: { path: { id: group.id } }, body })
        else create.mutate({ body })
      }}
    >
      <TextInput label="Name" required value={name} onChange={(e) => setName(e.currentTarget.value)} error={wrongWith('name', error)} data-autofocus />
      <TextInput label="Description" value={description} onChange={(e) => setDescription(e.currentTarget.value)} error={wrongWith('description', error)} />
      <TextInput label="Claim" description="What the provider of single sign-on calls it: who is in it there is a member from their next sign-in on" value={claim} onChange={(e) => setClaim(e.currentTarget.value)} error={wrongWith('claim', error)} />
    </FormDialog>
  )
}

function Members({ group, onClose }: { group: Users; onClose: () => void }) {
  const queries = useQueryClient()
  const users = api.useQuery('get', '/users')
  const [user, setUser] = useState('')
  const onSuccess = () => queries.invalidateQueries({ queryKey: key })
  const add = api.useMutation('put', '/groups/{id}/members/{user}', { onSuccess })
  const remove = api.useMutation('delete', '/groups/{id}/members/{user}', { onSuccess })
  const others = users.data?.items.filter((u) => !group.members.some((m) => m.user_id === u.id)) ?? []
  return (
    <Dialog opened onClose={onClose} title={`Members of ${group.name}`}>
      <Stack gap="sm">
        {group.members.length === 0 && <Text size="sm">Nobody is in it.</Text>}
        {group.members.map((m) => (
          <Group key={m.user_id} justify="space-between">
            <Text size="sm">{m.name}{m.claimed && <Text span size="sm" c="dimmed"> by single sign-on</Text>}</Text>
            <Button size="compact-xs" variant="default" aria-label={`Take out ${m.name}`} onClick={() => remove.mutate({ params: { path: { id: group.id, user: m.user_id } } })}>Take out</Button>
          </Group>
        ))}
        <form onSubmit={(e) => { e.preventDefault(); if (user !== '') add.mutate({ params: { path: { id: group.id, user: Number(user) } } }, { onSuccess: () => setUser('') }) }}>
          <Group align="flex-end" gap="sm">
            <NativeSelect label="User" value={user} onChange={(e) => setUser(e.currentTarget.value)} data={[{ value: '', label: 'choose one' }, ...others.map((u) => ({ value: String(u.id), label: u.name }))]} />
            <Button type="submit" disabled={user === ''} loading={add.isPending}>Put in</Button>
          </Group>
        </form>
        <Failure what="It was not changed" error={add.error ?? remove.error} />
      </Stack>
    </Dialog>
  )
}
