import { Anchor, Button, Group, Select, Stack, Switch, Text, TextInput } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { Link, useNavigate, useParams } from 'react-router'

import { api, type Schemas } from '../api/client'
import { useAdministrator, useMay } from '../shell/session'
import { Confirm } from '../ui/Confirm'
import { Waiting } from '../ui/Loading'
import { Page } from '../ui/Page'
import { Panel } from '../ui/Panel'
import { useRounds } from '../ui/rounds'
import { Connectors } from './Connectors'
import { PolicyForm } from './PolicyForm'
import { Retention } from './Retention'
import { Roles } from './Roles'
import { Rules } from './Rules'
import { Saved } from './Saved'
import { Sources } from './Sources'
import { Trash } from './Trash'

type Registry = Schemas['Registry']

export function Component() {
  const { registry = '' } = useParams()
  const about = api.useQuery('get', '/registries/{registry}', { params: { path: { registry } } })
  const administrator = useAdministrator()
  const administers = useMay('administer', registry)
  return (
    <Page title={`Manage ${registry}`} heading="Manage Registry" trail={[{ to: '/registries', label: 'Registries' }, { to: `/registries/${registry}`, label: registry }]}
      lead={administers ? `What ${registry} holds to, and who may pull from it.` : 'Only who may administer this registry may change it.'}
    >
      {about.data ? (
        <Stack gap="md" maw={760}>
          <General name={registry} registry={about.data} disabled={!administers} />
          <Rules name={registry} registry={about.data} disabled={!administers} />
          {administers && <Roles registry={registry} />}
          <Sources registry={registry} administrator={administers} />
          {administrator && <Connectors registry={registry} />}
          <RegistryPolicy name={registry} disabled={!administers} />
          <Retention name={registry} disabled={!administers} />
          <Trash name={registry} administrator={administers} />
          {administrator && <Remove name={registry} />}
        </Stack>
      ) : <Waiting query={about} what={`The registry ${registry} cannot be shown`} />}
    </Page>
  )
}

function General({ name, registry, disabled }: { name: string; registry: Registry; disabled: boolean }) {
  const { round, renew } = useRounds()
  const change = api.useMutation('patch', '/registries/{registry}', { onSuccess: renew })
  const reload = () => {
    change.reset()
    void renew()
  }
  return <GeneralForm key={round} registry={registry} disabled={disabled} change={change} onReload={reload} onSave={(body, etag) => change.mutate({ params: { path: { registry: name }, header: { 'If-Match': etag } }, body })} />
}

interface Form {
  registry: Registry
  disabled: boolean
  change: { error: unknown; isPending: boolean; isSuccess: boolean }
  onReload: () => void
  onSave: (body: Schemas['Change-registryRequest'], etag: string) => void
}

function GeneralForm({ registry, disabled, change, onReload, onSave }: Form) {
  const [etag] = useState(registry.etag)
  const [description, setDescription] = useState(registry.description)
  const [open, setOpen] = useState(registry.anonymous_pull)
  const [bills, setBills] = useState<Registry['attach_sbom']>(registry.attach_sbom)
  const [vex, setVEX] = useState(registry.honour_vex)
  return (
    <Panel title="General">
      <form onSubmit={(e) => {
        e.preventDefault()
        onSave({ description, anonymous_pull: open, attach_sbom: bills, honour_vex: vex }, etag)
      }}>
        <Stack gap="sm">
          <TextInput label="Description" disabled={disabled} value={description} onChange={(e) => setDescription(e.currentTarget.value)} />
          <Switch label="Anyone may pull, without signing in" disabled={disabled} checked={open} onChange={(e) => setOpen(e.currentTarget.checked)} />
          <Switch label="VEX documents that are attached to images assess them" disabled={disabled} checked={vex} onChange={(e) => setVEX(e.currentTarget.checked)} />
          <Select
            label="Bills of materials stored beside images" disabled={disabled} value={bills} maw={320}
            onChange={(v) => setBills((v ?? 'none') as Registry['attach_sbom'])}
            data={[{ value: 'none', label: 'none' }, { value: 'cyclonedx', label: 'CycloneDX' }, { value: 'spdx', label: 'SPDX' }]}
          />
          <Saved change={change} disabled={disabled} onReload={onReload} />
        </Stack>
      </form>
    </Panel>
  )
}

function RegistryPolicy({ name, disabled }: { name: string; disabled: boolean }) {
  const { round, renew } = useRounds()
  const policy = api.useQuery('get', '/registries/{registry}/policy', { params: { path: { registry: name } } })
  const change = api.useMutation('patch', '/registries/{registry}/policy', { onSuccess: renew })
  const reload = () => {
    change.reset()
    void renew()
  }
  return (
    <Panel title="Policy" actions={<Anchor component={Link} to="/administration/policies" fz="sm">global policy</Anchor>}>
      {policy.data ? <PolicyForm key={round} document={policy.data} disabled={disabled} change={change} onReload={reload} onSave={(body, version) => change.mutate({ params: { path: { registry: name }, header: { 'If-Match': `"${version}"` } }, body })} /> : <Waiting query={policy} what="The policy cannot be shown" />}
    </Panel>
  )
}

function Remove({ name }: { name: string }) {
  const [opened, dialog] = useDisclosure(false)
  const queries = useQueryClient()
  const navigate = useNavigate()
  const content = api.useQuery('get', '/registries/{registry}/repositories', { params: { path: { registry: name }, query: { page_size: 1000 } } })
  const n = content.data?.items.length ?? 0
  const trash = api.useQuery('get', '/registries/{registry}/trash', { params: { path: { registry: name }, query: { page_size: 1 } } })
  const trashed = (trash.data?.items.length ?? 0) > 0
  const more = content.data?.next_page_token ? ' or more' : ''
  const remove = api.useMutation('delete', '/registries/{registry}', {
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: ['get', '/registries'] })
      await navigate('/registries')
    },
  })
  return (
    <Panel title="Delete">
      <Group justify="space-between">
        <Text size="sm">Delete {name} with {n === 0 ? 'nothing in it' : n === 1 ? 'its repository' : `its ${n}${more} repositories`} and all their images.</Text>
        <Button variant="outline" color="red.9" onClick={dialog.open} styles={{ root: { color: 'var(--bad)', borderColor: 'var(--bad)' } }}>Delete this registry</Button>
      </Group>
      <Confirm
        opened={opened} onClose={dialog.close} title={`Delete the registry ${name}?`} action={`Delete ${name}`} typed={n > 0 ? name : undefined}
        busy={remove.isPending} error={remove.error}
        onConfirm={() => remove.mutate({ params: { path: { registry: name }, query: { force: n > 0 || trashed } } })}
      >
        {n === 0 ? `It holds no repositories.${trashed ? ' What is in its trash is deleted for good.' : ''}` : `${n}${more} ${n === 1 ? 'repository' : 'repositories'} with all tags and images are deleted, and assessments that hold for them end. This cannot be undone.`}
      </Confirm>
    </Panel>
  )
}
