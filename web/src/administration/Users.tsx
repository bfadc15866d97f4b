import { Button, Group, PasswordInput, Stack, Switch, Text, TextInput } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'

import { Dialog } from '../ui/Dialog'
import { api, type Schemas } from '../api/client'
import { useForget, useSession } from '../shell/session'
import { Confirm } from '../ui/Confirm'
import { Empty } from '../ui/Empty'
import { Failure } from '../ui/Failure'
import { Waiting } from '../ui/Loading'
import { LocalList } from '../ui/LocalList'
import { Page } from '../ui/Page'
import { useRefresh } from '../ui/refresh'
import type { Column } from '../ui/rows'
import { useUrlState } from '../ui/urlState'
import { When } from '../ui/When'
import { AccountTabs } from './AccountTabs'

type User = Pick<Schemas['User'], 'id' | 'name' | 'administrator'> & { etag?: string }

export function Component() {
  const me = useSession().data?.user
  const url = useUrlState()
  const [creating, setCreating] = useState(false)
  const [setting, setSetting] = useState<User>()
  if (!me) return null
  const own = url.get('own') === String(me.id)
  return (
    <Page title="Users & API Keys" trail={[{ to: '/administration/system', label: 'Administration' }]}
      actions={<>
        <Button variant="default" onClick={() => setSetting(me)}>Change your password</Button>
        {me.administrator && <Button leftSection={<IconPlus size={15} aria-hidden />} onClick={() => setCreating(true)}>New user</Button>}
      </>}
    >
      <AccountTabs value="users" administrator={me.administrator}>
        {me.administrator ? <List me={me} onPassword={setSetting} /> : <Text size="sm">You are signed in as <b>{me.name}</b>. Administrators see all users here.</Text>}
      </AccountTabs>
      {creating && <Create onClose={() => setCreating(false)} />}
      {(setting ?? (own ? me : undefined)) && <Password user={setting ?? me} own={(setting ?? me).id === me.id} onClose={() => { setSetting(undefined); url.set({ own: '' }) }} />}
    </Page>
  )
}

function List({ me, onPassword }: { me: User; onPassword: (user: User) => void }) {
  const queries = useQueryClient()
  const [removing, setRemoving] = useState<User>()
  const list = api.useQuery('get', '/users')
  const remove = api.useMutation('delete', '/users/{id}', { onSuccess: async () => {
    setRemoving(undefined)
    await queries.invalidateQueries({ queryKey: ['get', '/users'] })
  } })
  const columns: Column<Schemas['User']>[] = [
    { key: 'name', title: 'User', lead: true, value: (u) => u.name, render: (u) => <b>{u.name}{u.id === me.id && ' (you)'}</b> },
    { key: 'role', title: 'May', brief: true, value: (u) => Number(u.administrator), render: (u) => (u.administrator ? 'do everything' : 'do what roles say') },
    { key: 'from', title: 'Signs in', brief: true, value: (u) => u.issuer ?? '', render: (u) => (u.issuer ? 'at the provider' : 'with a password') },
    { key: 'created', title: 'Made', brief: true, value: (u) => Date.parse(u.created_at), render: (u) => <When time={u.created_at} /> },
    { key: 'go', title: 'Actions', quiet: true, render: (u) => (
      <Group gap={6}>
        <Button size="compact-xs" variant="default" aria-label={`Set password: ${u.name}`} onClick={() => onPassword(u)}>Set password</Button>
        {u.id !== me.id && <Button size="compact-xs" variant="default" aria-label={`Delete ${u.name}`} onClick={() => setRemoving(u)}>Delete</Button>}
      </Group>
    ) },
  ]
  return (
    <>
      {list.data ? <LocalList caption="Users" columns={columns} rows={list.data.items} rowKey={(u) => String(u.id)} text={(u) => u.name} searchLabel="Search users" defaultSort="name" empty={<Empty title="No users" />} /> : <Waiting query={list} what="The users cannot be shown" />}
      {removing && (
        <Confirm opened title={`Delete the user ${removing.name}?`} action={`Delete ${removing.name}`} busy={remove.isPending} error={remove.error} onClose={() => setRemoving(undefined)} onConfirm={() => remove.mutate({ params: { path: { id: removing.id } } })}>
          {removing.name} is signed out, and the API keys of {removing.name} stop working. What {removing.name} pushed and decided stays.
        </Confirm>
      )}
    </>
  )
}

function Create({ onClose }: { onClose: () => void }) {
  const queries = useQueryClient()
  const [name, setName] = useState('')
  const [password, setPassword] = useState('')
  const [administrator, setAdministrator] = useState(false)
  const create = api.useMutation('post', '/users', { onSuccess: async () => {
    await queries.invalidateQueries({ queryKey: ['get', '/users'] })
    onClose()
  } })
  return (
    <Dialog opened onClose={onClose} title="New user">
      <form onSubmit={(e) => { e.preventDefault(); create.mutate({ body: { name, password, administrator } }) }}>
        <Stack gap="sm">
          <TextInput label="Name" required value={name} onChange={(e) => setName(e.currentTarget.value)} data-autofocus />
          <PasswordInput label="Password" description="At least eight characters" autoComplete="new-password" required value={password} onChange={(e) => setPassword(e.currentTarget.value)} />
          <Switch label="May do everything" description="Others may do what their roles, and those of their groups, allow: nothing at first" checked={administrator} onChange={(e) => setAdministrator(e.currentTarget.checked)} />
          <Failure what="The user was not made" error={create.error} />
          <Group justify="flex-end"><Button variant="default" onClick={onClose}>Cancel</Button><Button type="submit" loading={create.isPending}>Make it</Button></Group>
        </Stack>
      </form>
    </Dialog>
  )
}

function Password({ user, own, onClose }: { user: User; own: boolean; onClose: () => void }) {
  const forget = useForget()
  const refresh = useRefresh()
  const [password, setPassword] = useState('')
  const change = api.useMutation('patch', '/users/{id}', { onSuccess: async () => {
    onClose()
    // The server ended the user's sessions.
    if (own) await forget()
  } })
  return (
    <Dialog opened onClose={onClose} title={own ? 'Change your password' : `Set the password of ${user.name}`}>
      <form onSubmit={(e) => { e.preventDefault(); change.mutate({ params: { path: { id: user.id }, header: user.etag === undefined ? {} : { 'If-Match': user.etag } }, body: { password } }) }}>
        <Stack gap="sm">
          <PasswordInput label="New password" description="At least eight characters" autoComplete="new-password" required value={password} onChange={(e) => setPassword(e.currentTarget.value)} data-autofocus />
          <Text size="sm" c="dimmed">{own ? 'You are signed out everywhere, and sign in again with the new one.' : `${user.name} is signed out everywhere.`} API keys go on working.</Text>
          <Failure what="It was not changed" error={change.error} reload={() => void refresh().then(onClose)} />
          <Group justify="flex-end"><Button variant="default" onClick={onClose}>Cancel</Button><Button type="submit" loading={change.isPending}>Save</Button></Group>
        </Stack>
      </form>
    </Dialog>
  )
}
