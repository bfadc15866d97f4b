import { Button, Group, Select, Stack, TagsInput, Text, TextInput } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useState } from 'react'

import { api, type Schemas } from '../api/client'
import { useAdministrator } from '../shell/session'
import { Command } from '../ui/Command'
import { Confirm } from '../ui/Confirm'
import { DataTable } from '../ui/DataTable'
import { Dialog } from '../ui/Dialog'
import { Empty } from '../ui/Empty'
import { Failure } from '../ui/Failure'
import { Waiting } from '../ui/Loading'
import { Page } from '../ui/Page'
import { Panel } from '../ui/Panel'
import { useRefresh } from '../ui/refresh'
import { useRounds } from '../ui/rounds'
import type { Column } from '../ui/rows'
import { Verdict } from '../ui/Verdict'
import { When } from '../ui/When'
import { webhookYaml } from './webhookYaml'

type Admission = Schemas['Admission']
type Token = Schemas['AdmissionToken']

/** How Kubernetes clusters are answered that ask whether they may run images. */
export function Component() {
  const administrator = useAdministrator()
  const about = api.useQuery('get', '/admission')
  const { round, renew } = useRounds()
  return (
    <Page title="Kubernetes" trail={[{ to: '/administration/system', label: 'Administration' }]} lead="Clusters can ask before they run anything: what the policy refuses to serve is refused to run, too.">
      <Stack gap="md" maw={900}>
        {administrator && <Tokens />}
        <Panel title="How they are answered">
          {about.data ? <Answers key={round} admission={about.data} disabled={!administrator} renew={renew} /> : <Waiting query={about} what="It cannot be shown" />}
        </Panel>
      </Stack>
    </Page>
  )
}

function Answers({ admission, disabled, renew }: { admission: Admission; disabled: boolean; renew: () => Promise<void> }) {
  const [version, setVersion] = useState(admission.version)
  const [unknown, setUnknown] = useState<Admission['unknown_images']>(admission.unknown_images)
  const [hosts, setHosts] = useState(admission.hosts)
  const change = api.useMutation('patch', '/admission', { onSuccess: (now) => setVersion(now.version) })
  return (
    <form onSubmit={(e) => { e.preventDefault(); change.mutate({ params: { header: { 'If-Match': `"${version}"` } }, body: { unknown_images: unknown, hosts } }) }}>
      <Stack gap="sm">
        <Select label="Images that are not here" description="Those of other hosts, and those of ours that are not stored" disabled={disabled} allowDeselect={false} maw={320} value={unknown} onChange={(v) => setUnknown((v ?? 'allow') as Admission['unknown_images'])}
          data={[{ value: 'allow', label: 'may run' }, { value: 'warn', label: 'may run, with a warning' }, { value: 'deny', label: 'may not run' }]} />
        <TagsInput label="Other names of this server" description="HOST or HOST:PORT, as clusters name images by it, besides that of Web.BaseUrl. Press Enter after each." disabled={disabled} value={hosts} onChange={setHosts} />
        <Failure what="It was not saved" error={change.error} reload={() => void renew()} />
        {!disabled && <Group><Button type="submit" loading={change.isPending}>Save</Button><span role="status">{change.isSuccess && <Verdict kind="good">Saved</Verdict>}</span></Group>}
      </Stack>
    </form>
  )
}

function Tokens() {
  const refresh = useRefresh()
  const [creating, setCreating] = useState(false)
  const [revoking, setRevoking] = useState<Token>()
  const list = api.useQuery('get', '/admission-tokens')
  const revoke = api.useMutation('delete', '/admission-tokens/{id}', { onSuccess: async () => {
    setRevoking(undefined)
    await refresh()
  } })
  const columns: Column<Token>[] = [
    { key: 'name', title: 'Cluster', lead: true, render: (t) => <><b>{t.name}</b> <code>{t.prefix}…</code></> },
    { key: 'used', title: 'Last asked', brief: true, render: (t) => <When time={t.last_used_at} /> },
    { key: 'by', title: 'Made', brief: true, render: (t) => <>by {t.created_by}, <When time={t.created_at} /></> },
    { key: 'go', title: 'Actions', quiet: true, render: (t) => <Button size="compact-xs" variant="default" aria-label={`Revoke ${t.name}`} onClick={() => setRevoking(t)}>Revoke</Button> },
  ]
  return (
    <Panel title="Clusters" actions={<Button size="xs" leftSection={<IconPlus size={14} aria-hidden />} onClick={() => setCreating(true)}>Add a cluster</Button>}>
      {list.data ? <DataTable caption="Tokens of clusters" columns={columns} rows={list.data.items} rowKey={(t) => String(t.id)} empty={<Empty title="No cluster asks">Add one: it gets a token of its own, and you the manifest to apply.</Empty>} /> : <Waiting query={list} what="The clusters cannot be shown" />}
      {creating && <Create onClose={() => setCreating(false)} />}
      {revoking && (
        <Confirm opened title={`Revoke the token of ${revoking.name}?`} action="Revoke" busy={revoke.isPending} error={revoke.error} onClose={() => setRevoking(undefined)} onConfirm={() => revoke.mutate({ params: { path: { id: revoking.id } } })}>
          {revoking.name} gets no answer any more. Whether it runs images then is as the failurePolicy of its webhook says: with Fail it runs nothing new.
        </Confirm>
      )}
    </Panel>
  )
}

function Create({ onClose }: { onClose: () => void }) {
  const refresh = useRefresh()
  const [name, setName] = useState('')
  const create = api.useMutation('post', '/admission-tokens', { onSuccess: refresh })
  const made = create.data
  return (
    <Dialog opened onClose={onClose} title={made ? `For ${made.name}` : 'Add a cluster'} closeOnClickOutside={!made} size="xl">
      {made?.path ? (
        <Stack gap="sm">
          <Text size="sm">Apply this with <code>kubectl apply -f pratique.yaml</code>. Copy it now: the token in it is shown this once.</Text>
          <Command label="Copy the manifest">{webhookYaml(window.location.origin, made.path)}</Command>
          <Text size="xs" c="dimmed">The cluster must reach this server by that address, over HTTPS.</Text>
          <Group justify="flex-end"><Button onClick={onClose}>I have it</Button></Group>
        </Stack>
      ) : (
        <form onSubmit={(e) => { e.preventDefault(); create.mutate({ body: { name } }) }}>
          <Stack gap="sm">
            <TextInput label="Name" description="The cluster's: letters, digits and . _ -" placeholder="production" required value={name} onChange={(e) => setName(e.currentTarget.value)} data-autofocus />
            <Failure what="It was not added" error={create.error} />
            <Group justify="flex-end"><Button variant="default" onClick={onClose}>Cancel</Button><Button type="submit" loading={create.isPending}>Add it</Button></Group>
          </Stack>
        </form>
      )}
    </Dialog>
  )
}
