import { Button, Group, NumberInput, SimpleGrid, Stack, Switch, TagsInput, Text } from '@mantine/core'
import { useState } from 'react'

import { api, type Schemas } from '../api/client'
import { DataTable } from '../ui/DataTable'
import { Empty } from '../ui/Empty'
import { Failure } from '../ui/Failure'
import { number, plural, shortDigest } from '../ui/format'
import { Waiting } from '../ui/Loading'
import { Panel } from '../ui/Panel'
import { useRounds } from '../ui/rounds'
import { Verdict } from '../ui/Verdict'
import { Saved } from './Saved'

type Rules = Schemas['RetentionDocument']
type Preview = Schemas['RetentionPreview']

/** Which tags and manifests of a registry are old enough to go. */
export function Retention({ name, disabled }: { name: string; disabled: boolean }) {
  const { round, renew } = useRounds()
  const path = { registry: name }
  const rules = api.useQuery('get', '/registries/{registry}/retention', { params: { path } })
  const change = api.useMutation('put', '/registries/{registry}/retention', { onSuccess: renew })
  const reload = () => {
    change.reset()
    void renew()
  }
  return (
    <Panel title="Retention">
      {rules.data ? <Form key={round} name={name} rules={rules.data} disabled={disabled} change={change} onReload={reload} onSave={(body, etag) => change.mutate({ params: { path, header: { 'If-Match': etag } }, body })} /> : <Waiting query={rules} what="The retention rules cannot be shown" />}
    </Panel>
  )
}

interface Props {
  name: string
  rules: Rules
  disabled: boolean
  change: { error: unknown; isPending: boolean; isSuccess: boolean }
  onReload: () => void
  onSave: (body: Schemas['RetentionRules'], etag: string) => void
}

function Form({ name, rules, disabled, change, onReload, onSave }: Props) {
  const [etag] = useState(rules.etag)
  const [enabled, setEnabled] = useState(rules.enabled)
  const [repositories, setRepositories] = useState(rules.repositories ?? [])
  const [tags, setTags] = useState(rules.tags ?? [])
  const [except, setExcept] = useState(rules.except ?? [])
  const [last, setLast] = useState<number | string>(rules.keep_last || '')
  const [days, setDays] = useState<number | string>(rules.keep_days || '')
  const [unpulled, setUnpulled] = useState<number | string>(rules.unpulled_days || '')
  const [untagged, setUntagged] = useState<number | string>(rules.untagged_days || '')
  const preview = api.useMutation('post', '/registries/{registry}/retention/preview')
  const path = { registry: name }
  const body = {
    enabled, repositories, tags, except, keep_last: Number(last) || 0, keep_days: Number(days) || 0, unpulled_days: Number(unpulled) || 0, untagged_days: Number(untagged) || 0,
  }
  const patterns = (label: string, value: string[], set: (v: string[]) => void, placeholder: string) => (
    <TagsInput label={label} placeholder={value.length === 0 ? placeholder : ''} disabled={disabled} value={value} onChange={set} />
  )
  return (
    <form onSubmit={(e) => { e.preventDefault(); onSave(body, etag) }}>
      <Stack gap="sm">
        <Switch label="Each night, delete what these rules let go" disabled={disabled} checked={enabled} onChange={(e) => setEnabled(e.currentTarget.checked)} />
        {patterns('Repositories', repositories, setRepositories, 'all')}
        <Group grow align="flex-start">
          {patterns('Tags that may go', tags, setTags, 'all')}
          {patterns('Tags that stay', except, setExcept, 'none')}
        </Group>
        <SimpleGrid cols={{ base: 2, sm: 4 }} spacing="sm">
          <NumberInput label="Keep the last" suffix=" tags" min={0} max={100_000} disabled={disabled} value={last} onChange={setLast} />
          <NumberInput label="Keep tags for" suffix=" days" min={0} max={100_000} disabled={disabled} value={days} onChange={setDays} />
          <NumberInput label="Keep for, after a pull" suffix=" days" min={0} max={100_000} disabled={disabled} value={unpulled} onChange={setUnpulled} />
          <NumberInput label="Keep untagged for" placeholder="ever" suffix=" days" min={0} max={100_000} disabled={disabled} value={untagged} onChange={setUntagged} />
        </SimpleGrid>
        <Text size="xs" c="dimmed">A tag goes where neither its number nor its age nor a pull keeps it; one that was never pulled counts from its push. A manifest goes with its last tag, and what belongs to it alone goes with it.</Text>
        <Failure what="It cannot be told what goes" error={preview.error} />
        {preview.data && <Plan name={name} preview={preview.data} disabled={disabled || !rules.enabled} onConfirmed={() => preview.mutate({ params: { path } })} />}
        <Group>
          <Button variant="default" loading={preview.isPending} onClick={() => preview.mutate({ params: { path }, body })}>See what goes</Button>
          <Saved change={change} disabled={disabled} onReload={onReload} />
        </Group>
      </Stack>
    </form>
  )
}

function Plan({ name, preview, disabled, onConfirmed }: { name: string; preview: Preview; disabled: boolean; onConfirmed: () => void }) {
  const confirm = api.useMutation('post', '/registries/{registry}/retention/confirm', { onSuccess: onConfirmed })
  const shown = 50
  const gone = preview.gone_tags + preview.gone_manifests
  return (
    <div role="status">
      <Text size="sm">
        {plural(preview.gone_tags, 'tag')} of {preview.tags} and {plural(preview.gone_manifests, 'manifest')} of {preview.manifests} would go now.
      </Text>
      {preview.held && (preview.confirmed ? <Verdict kind="good">Confirmed: it is done at the next run</Verdict> : (
        <>
          <Verdict kind="warn">That is most of the registry: nothing is deleted before it is confirmed</Verdict>
          <Failure what="It was not confirmed" error={confirm.error} />
          {!disabled && <Button mt="xs" size="xs" variant="default" loading={confirm.isPending} onClick={() => confirm.mutate({ params: { path: { registry: name } }, body: { plan: preview.plan } })}>Let it go</Button>}
        </>
      ))}
      <DataTable
        caption="What goes" rows={preview.deletions.slice(0, shown)} rowKey={(d) => `${d.repository} ${d.digest} ${d.tag ?? ''}`} empty={<Empty title="Nothing goes">All of it is kept by these rules.</Empty>}
        columns={[
          { key: 'what', title: 'What', lead: true, render: (d) => <span className="break">{d.repository}{d.tag ? `:${d.tag}` : ` ${shortDigest(d.digest)}`}</span> },
          { key: 'why', title: 'Why', render: (d) => d.reason },
        ]}
      />
      {gone > shown && <Text size="sm" c="dimmed">and {number(gone - shown)} more</Text>}
    </div>
  )
}
