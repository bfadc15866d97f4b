import { Anchor, Button, Group, Select, Stack, Text, TextInput } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { Link } from 'react-router'

import { Dialog } from '../ui/Dialog'
import { api, type Schemas } from '../api/client'
import { PolicyForm } from '../registries/PolicyForm'
import { PolicyWords } from '../registries/PolicyWords'
import { useAdministrator } from '../shell/session'
import { Confirm } from '../ui/Confirm'
import { DataTable } from '../ui/DataTable'
import { Empty } from '../ui/Empty'
import { Failure } from '../ui/Failure'
import { shortDigest } from '../ui/format'
import { Waiting } from '../ui/Loading'
import { Page } from '../ui/Page'
import { Panel } from '../ui/Panel'
import { useRounds } from '../ui/rounds'
import { When } from '../ui/When'
import { endOf, isDate } from '../vulnerabilities/expiry'

type Exception = Schemas['PolicyException']

export function Component() {
  const administrator = useAdministrator()
  const global = api.useQuery('get', '/policy')
  const registries = api.useQuery('get', '/registries', { params: { query: { page_size: 1000 } } })
  const { round, renew } = useRounds()
  const change = api.useMutation('patch', '/policy', { onSuccess: renew })
  const reload = () => {
    change.reset()
    void renew()
  }
  return (
    <Page title="Policies" trail={[{ to: '/administration/system', label: 'Administration' }]} lead="What may be pulled. A registry inherits the global policy where it does not say otherwise.">
      <Stack gap="md" maw={900}>
        <Panel title="Global policy">
          {global.data ? <PolicyForm key={round} document={global.data} disabled={!administrator} change={change} onReload={reload} onSave={(body, version) => change.mutate({ params: { header: { 'If-Match': `"${version}"` } }, body })} /> : <Waiting query={global} what="The policy cannot be shown" />}
        </Panel>
        <Panel title="Registries">
          {registries.data ? (
            <DataTable caption="What holds in each registry" rows={registries.data.items} rowKey={(r) => r.name} empty={<Empty title="No registries" />} columns={[
              { key: 'name', title: 'Registry', lead: true, render: (r) => <Anchor component={Link} to={`/registries/${r.name}/manage`} fz="inherit" fw={600}>{r.name}</Anchor> },
              { key: 'policy', title: 'What holds', render: (r) => <PolicyWords policy={r.policy} /> },
            ]} />
          ) : <Waiting query={registries} what="The registries cannot be shown" />}
        </Panel>
        <Exceptions administrator={administrator} registries={registries.data?.items.map((r) => r.name) ?? []} />
      </Stack>
    </Page>
  )
}

function Exceptions({ administrator, registries }: { administrator: boolean; registries: string[] }) {
  const queries = useQueryClient()
  const [granting, setGranting] = useState(false)
  const [ending, setEnding] = useState<Exception>()
  const list = api.useQuery('get', '/policy-exceptions', { params: { query: { page_size: 200 } } })
  const end = api.useMutation('delete', '/policy-exceptions/{id}', { onSuccess: async () => {
    setEnding(undefined)
    await queries.invalidateQueries({ predicate: (q) => q.queryKey[1] !== '/session' })
  } })
  return (
    <Panel title="Exceptions" actions={administrator ? <Button size="xs" leftSection={<IconPlus size={14} aria-hidden />} onClick={() => setGranting(true)}>Grant one</Button> : undefined}>
      {list.data ? (
        <DataTable caption="Exceptions from policy" rows={list.data.items} rowKey={(e) => String(e.id)} empty={<Empty title="No exceptions">One lets what is blocked be pulled until a day, with a reason.</Empty>} columns={[
          { key: 'what', title: 'For', lead: true, render: (e) => <b>{inWords(e)}</b> },
          { key: 'comment', title: 'Comment', render: (e) => e.comment },
          { key: 'by', title: 'By', render: (e) => <>{e.author}, <When time={e.created_at} /></> },
          { key: 'until', title: 'Until', render: (e) => (e.live ? <When time={e.expires_at} /> : <>ended <When time={e.ended_at ?? e.expires_at} /></>) },
          { key: 'go', title: 'Actions', quiet: true, render: (e) => (e.live && administrator ? <Button size="compact-xs" variant="default" aria-label={`End the exception for ${inWords(e)}`} onClick={() => setEnding(e)}>End</Button> : null) },
        ]} />
      ) : <Waiting query={list} what="The exceptions cannot be shown" />}
      {granting && <Grant registries={registries} onClose={() => setGranting(false)} />}
      {ending && (
        <Confirm opened title="End the exception?" action="End it" busy={end.isPending} error={end.error} onClose={() => setEnding(undefined)} onConfirm={() => end.mutate({ params: { path: { id: ending.id } } })}>
          {inWords(ending)} is judged by the policy again from now on.
        </Confirm>
      )}
    </Panel>
  )
}

function inWords(e: Exception): string {
  const image = `${e.registry || 'any registry'}/${e.repository || '…'}${e.tag ? `:${e.tag}` : ''}${e.digest ? `@${shortDigest(e.digest)}` : ''}`
  return e.user ? `${image}, pulled by ${e.user}` : image
}

function Grant({ registries, onClose }: { registries: string[]; onClose: () => void }) {
  const queries = useQueryClient()
  const [registry, setRegistry] = useState('')
  const [repository, setRepository] = useState('')
  const [tag, setTag] = useState('')
  const [user, setUser] = useState('')
  const [comment, setComment] = useState('')
  const [until, setUntil] = useState('')
  const grant = api.useMutation('post', '/policy-exceptions', { onSuccess: async () => {
    await queries.invalidateQueries({ predicate: (q) => q.queryKey[1] !== '/session' })
    onClose()
  } })
  return (
    <Dialog opened onClose={onClose} title="Grant an exception">
      <form onSubmit={(e) => {
        e.preventDefault()
        grant.mutate({ body: { ...(registry ? { registry } : {}), ...(repository ? { repository } : {}), ...(tag ? { tag } : {}), ...(user ? { user } : {}), comment, expires_at: endOf(until) } })
      }}>
        <Stack gap="sm">
          <Select label="Registry" data={[{ value: '', label: 'any' }, ...registries]} value={registry} onChange={(v) => setRegistry(v ?? '')} />
          <TextInput label="Repository" description="A name without the registry's; * stands for anything" placeholder="shop/checkout" value={repository} onChange={(e) => setRepository(e.currentTarget.value)} />
          <TextInput label="Tag" description="* stands for anything" placeholder="1.*" value={tag} onChange={(e) => setTag(e.currentTarget.value)} />
          <TextInput label="Only for the user" value={user} onChange={(e) => setUser(e.currentTarget.value)} />
          <TextInput label="Comment" description="Why" required value={comment} onChange={(e) => setComment(e.currentTarget.value)} />
          <TextInput type="date" label="Last day" required value={until} onChange={(e) => setUntil(e.currentTarget.value)} maw={220} />
          <Failure what="It was not granted" error={grant.error} />
          <Group justify="flex-end"><Button variant="default" onClick={onClose}>Cancel</Button><Button type="submit" disabled={!isDate(until)} loading={grant.isPending}>Grant it</Button></Group>
          {!isDate(until) && <Text size="xs" c="dimmed" ta="right">Say until when first.</Text>}
        </Stack>
      </form>
    </Dialog>
  )
}
