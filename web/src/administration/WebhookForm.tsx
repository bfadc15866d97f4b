import { Button, Group, MultiSelect, PasswordInput, Select, Stack, Switch, TagsInput, TextInput } from '@mantine/core'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'

import { api, type Schemas } from '../api/client'
import { Dialog } from '../ui/Dialog'
import { Failure } from '../ui/Failure'
import { useRefresh } from '../ui/refresh'
import { severities, type SeverityName } from '../ui/severity'

const kinds = [{ value: 'webhook', label: 'A program, by a signed request' }, { value: 'slack', label: 'Slack' }, { value: 'teams', label: 'Teams' }, { value: 'email', label: 'E-mail' }]

const events = [
  { value: 'finding.new', label: 'New findings on stored images' }, { value: 'assessment.expiring', label: 'Assessments that expire soon' }, { value: 'assessment.expired', label: 'Assessments that have expired' },
  { value: 'pull.blocked', label: 'Refused pulls' }, { value: 'feed.failing', label: 'Feeds that fail' }, { value: 'feed.stale', label: 'Feeds that are stale' },
  { value: 'job.failed', label: 'Jobs that failed' }, { value: 'image.pushed', label: 'Images that were pushed' }, { value: 'image.analysed', label: 'Images that were analysed' },
  { value: 'image.promoted', label: 'Images that were promoted' },
]

/** Creates a webhook, or changes one. */
export function WebhookForm({ webhook, onClose }: { webhook?: Schemas['Webhook']; onClose: () => void }) {
  const queries = useQueryClient()
  const refresh = useRefresh()
  const registries = api.useQuery('get', '/registries', { params: { query: { page_size: 1000 } } })
  const [name, setName] = useState('')
  const [kind, setKind] = useState<Schemas['Webhook']['kind']>(webhook?.kind ?? 'webhook')
  const [url, setURL] = useState(webhook?.url ?? '')
  const [recipients, setRecipients] = useState(webhook?.recipients ?? [])
  const [secret, setSecret] = useState('')
  const [of, setOf] = useState(webhook?.events ?? [])
  const [where, setWhere] = useState(webhook?.registries ?? [])
  const [from, setFrom] = useState<SeverityName>(webhook?.min_severity ?? 'unknown')
  const [exploited, setExploited] = useState(webhook?.exploited_only ?? false)
  const [enabled, setEnabled] = useState(webhook?.enabled ?? true)
  const done = { onSuccess: async () => {
    await queries.invalidateQueries({ queryKey: ['get', '/webhooks'] })
    await queries.invalidateQueries({ queryKey: ['get', '/webhooks/{name}'] })
    onClose()
  } }
  const create = api.useMutation('post', '/webhooks', done)
  const change = api.useMutation('put', '/webhooks/{name}', done)
  const body = {
    kind, ...(kind === 'email' ? { recipients } : { url }), events: of, registries: where, min_severity: from, exploited_only: exploited, enabled,
    ...(kind === 'webhook' && secret !== '' ? { secret } : {}),
  }
  return (
    <Dialog opened onClose={onClose} size="lg" title={webhook ? `Edit ${webhook.name}` : 'Create webhook'}>
      <form onSubmit={(e) => {
        e.preventDefault()
        if (webhook) change.mutate({ params: { path: { name: webhook.name }, header: { 'If-Match': webhook.etag } }, body })
        else create.mutate({ body: { name, ...body } })
      }}>
        <Stack gap="sm">
          {!webhook && <TextInput label="Name" description="It never changes." required value={name} onChange={(e) => setName(e.currentTarget.value)} data-autofocus />}
          <Select label="Who is told" data={kinds} value={kind} onChange={(v) => setKind((v ?? 'webhook') as typeof kind)} />
          {kind === 'email'
            ? <TagsInput label="Addresses" description="Press Enter after each." value={recipients} onChange={setRecipients} />
            : <TextInput label="Address" description={url.includes('…') ? 'What follows is secret. Left as it is, the address stays.' : undefined} placeholder="https://" required value={url} onChange={(e) => setURL(e.currentTarget.value)} />}
          {kind === 'webhook' && (
            <PasswordInput label="Secret" description={webhook?.signed ? 'One is set. Empty: it stays as it is.' : 'Optional: whsec_ and base64, or a text of 24 to 64 bytes. Requests are signed with it.'} autoComplete="off" value={secret} onChange={(e) => setSecret(e.currentTarget.value)} />
          )}
          <MultiSelect label="Of what" placeholder={of.length === 0 ? 'Everything' : ''} data={events} value={of} onChange={setOf} clearable />
          <MultiSelect label="In which registries" placeholder={where.length === 0 ? 'All' : ''} data={(registries.data?.items ?? []).map((r) => r.name)} value={where} onChange={setWhere} clearable />
          <Group grow align="flex-end">
            <Select label="Vulnerabilities from" data={severities.map((s) => ({ value: s, label: s === 'unknown' ? 'any severity' : s }))} value={from} onChange={(v) => setFrom((v ?? 'unknown') as SeverityName)} />
            <Switch label="Only those known to be exploited" checked={exploited} onChange={(e) => setExploited(e.currentTarget.checked)} />
          </Group>
          <Switch label="On" checked={enabled} onChange={(e) => setEnabled(e.currentTarget.checked)} />
          <Failure what="It was not saved" error={create.error ?? change.error} reload={() => void refresh().then(onClose)} />
          <Group justify="flex-end"><Button variant="default" onClick={onClose}>Cancel</Button><Button type="submit" loading={create.isPending || change.isPending}>Save</Button></Group>
        </Stack>
      </form>
    </Dialog>
  )
}
