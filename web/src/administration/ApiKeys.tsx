import { Button, Group, NativeSelect, Stack, Text, TextInput } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'

import { Dialog } from '../ui/Dialog'
import { api, type Schemas } from '../api/client'
import { useSession } from '../shell/session'
import { Command } from '../ui/Command'
import { Confirm } from '../ui/Confirm'
import { Empty } from '../ui/Empty'
import { Failure } from '../ui/Failure'
import { Waiting } from '../ui/Loading'
import { LocalList } from '../ui/LocalList'
import { Page } from '../ui/Page'
import type { Column } from '../ui/rows'
import { When } from '../ui/When'
import { endOf, isDate } from '../vulnerabilities/expiry'
import { AccountTabs } from './AccountTabs'
import { roles, type RoleName, roleWords } from './roleWords'

type Key = Schemas['Key']

export function Component() {
  const queries = useQueryClient()
  const me = useSession().data?.user
  const [creating, setCreating] = useState(false)
  const [revoking, setRevoking] = useState<Key>()
  const list = api.useQuery('get', '/api-keys')
  const users = api.useQuery('get', '/users', undefined, { enabled: me?.administrator === true })
  const revoke = api.useMutation('delete', '/api-keys/{id}', { onSuccess: async () => {
    setRevoking(undefined)
    await queries.invalidateQueries({ queryKey: ['get', '/api-keys'] })
  } })
  const owner = (k: Key) => (k.user_id === me?.id ? `${me.name} (you)` : users.data?.items.find((u) => u.id === k.user_id)?.name ?? `user ${k.user_id}`)
  const columns: Column<Key>[] = [
    { key: 'name', title: 'Key', lead: true, value: (k) => k.name, render: (k) => <><b>{k.name}</b> <code>{k.prefix}…</code></> },
    { key: 'of', title: 'Acts as', brief: true, value: owner, render: owner },
    { key: 'scope', title: 'May', brief: true, value: (k) => (k.limited ? roleWords(k.scope) : ''), render: (k) => (k.limited ? roleWords(k.scope) || 'nothing any more' : 'all that its user may') },
    { key: 'used', title: 'Last used', brief: true, value: (k) => Date.parse(k.last_used_at ?? '') || 0, render: (k) => <When time={k.last_used_at} /> },
    { key: 'expires', title: 'Expires', brief: true, value: (k) => Date.parse(k.expires_at ?? '') || Infinity, render: (k) => <When time={k.expires_at} /> },
    { key: 'created', title: 'Made', brief: true, value: (k) => Date.parse(k.created_at), render: (k) => <When time={k.created_at} /> },
    { key: 'go', title: 'Actions', quiet: true, render: (k) => <Button size="compact-xs" variant="default" aria-label={`Revoke ${k.name}`} onClick={() => setRevoking(k)}>Revoke</Button> },
  ]
  return (
    <Page title="Users & API Keys" trail={[{ to: '/administration/system', label: 'Administration' }]} actions={<Button leftSection={<IconPlus size={15} aria-hidden />} onClick={() => setCreating(true)}>New API key</Button>}>
      <AccountTabs value="api-keys" administrator={me?.administrator ?? false}>
        {list.data ? <LocalList caption="API keys" columns={columns} rows={list.data.items} rowKey={(k) => String(k.id)} text={(k) => `${k.name} ${k.prefix} ${owner(k)}`} searchLabel="Search keys" defaultSort="name" empty={<Empty title="No API keys">Programs sign in with a key of yours instead of your password: as the user <code>api</code>, or as a Bearer token.</Empty>} /> : <Waiting query={list} what="The API keys cannot be shown" />}
      </AccountTabs>
      {creating && <Create onClose={() => setCreating(false)} />}
      {revoking && (
        <Confirm opened title={`Revoke the key ${revoking.name}?`} action="Revoke" busy={revoke.isPending} error={revoke.error} onClose={() => setRevoking(undefined)} onConfirm={() => revoke.mutate({ params: { path: { id: revoking.id } } })}>
          Programs that use <code>{revoking.prefix}…</code> are refused from now on.
        </Confirm>
      )}
    </Page>
  )
}

function Create({ onClose }: { onClose: () => void }) {
  const queries = useQueryClient()
  const [name, setName] = useState('')
  const [until, setUntil] = useState('')
  const [role, setRole] = useState<RoleName | ''>('')
  const [registry, setRegistry] = useState('')
  const registries = api.useQuery('get', '/registries', { params: { query: { page_size: 1000 } } })
  const create = api.useMutation('post', '/api-keys', { onSuccess: () => queries.invalidateQueries({ queryKey: ['get', '/api-keys'] }) })
  const secret = create.data?.key
  return (
    <Dialog opened onClose={onClose} title={secret ? 'Your new API key' : 'New API key'} closeOnClickOutside={!secret} size="lg">
      {secret ? (
        <Stack gap="sm">
          <Text size="sm">Copy it now: it is shown this once.</Text>
          <Command label="Copy the key">{secret}</Command>
          <Text size="sm">To push and pull with it:</Text>
          <Command>{`docker login -u api ${window.location.host}`}</Command>
          <Group justify="flex-end"><Button onClick={onClose}>I have it</Button></Group>
        </Stack>
      ) : (
        <form onSubmit={(e) => { e.preventDefault(); create.mutate({ body: { name, ...(role === '' ? {} : { scope: [{ role, registry }] }), ...(isDate(until) ? { expires_at: endOf(until) } : {}) } }) }}>
          <Stack gap="sm">
            <TextInput label="Name" description="What it is for, as in ci" required value={name} onChange={(e) => setName(e.currentTarget.value)} data-autofocus />
            <NativeSelect label="What it may do" description="Of what you may" value={role} onChange={(e) => setRole(e.currentTarget.value as RoleName | '')} data={[{ value: '', label: 'all that you may' }, ...roles]} />
            {role !== '' && <NativeSelect label="Where" value={registry} onChange={(e) => setRegistry(e.currentTarget.value)} data={[{ value: '', label: 'everywhere' }, ...(registries.data?.items ?? []).map((r) => ({ value: r.name, label: r.name }))]} />}
            <TextInput type="date" label="Last day" description="Empty: it works until it is revoked" value={until} onChange={(e) => setUntil(e.currentTarget.value)} maw={220} />
            <Failure what="The key was not made" error={create.error} />
            <Group justify="flex-end"><Button variant="default" onClick={onClose}>Cancel</Button><Button type="submit" loading={create.isPending}>Make it</Button></Group>
          </Stack>
        </form>
      )}
    </Dialog>
  )
}
