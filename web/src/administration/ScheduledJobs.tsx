import { Anchor, Button, Group, Select, Stack, Switch, Text, TextInput } from '@mantine/core'
import { useDebouncedCallback } from '@mantine/hooks'
import { keepPreviousData, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { Link, useNavigate } from 'react-router'

import { Dialog } from '../ui/Dialog'
import { api, type Schemas } from '../api/client'
import { useAdministrator } from '../shell/session'
import { DataTable } from '../ui/DataTable'
import { Empty } from '../ui/Empty'
import { Failure } from '../ui/Failure'
import { Waiting } from '../ui/Loading'
import { Page } from '../ui/Page'
import { Pager } from '../ui/Pager'
import { Panel } from '../ui/Panel'
import { useRefresh } from '../ui/refresh'
import type { Column } from '../ui/rows'
import { useUrlState } from '../ui/urlState'
import { When } from '../ui/When'
import { JobState } from './JobState'

type Schedule = Schemas['Schedule']
type Job = Schemas['Job']

export function Component() {
  return (
    <Page title="Scheduled Jobs" trail={[{ to: '/administration/system', label: 'Administration' }]} lead="Work that goes on by itself, and what ran last.">
      <Stack gap="md">
        <Schedules />
        <Runs />
      </Stack>
    </Page>
  )
}

function Schedules() {
  const queries = useQueryClient()
  const navigate = useNavigate()
  const administrator = useAdministrator()
  const [editing, setEditing] = useState<Schedule>()
  const list = api.useQuery('get', '/schedules', undefined, { refetchInterval: 15_000 })
  const run = api.useMutation('post', '/jobs/{name}/run', { onSuccess: async (job) => {
    await queries.invalidateQueries({ queryKey: ['get', '/jobs'] })
    await navigate(`/administration/jobs/${job.id}`)
  } })
  const columns: Column<Schedule>[] = [
    { key: 'name', title: 'Job', lead: true, render: (s) => <b>{s.name}</b> },
    { key: 'cron', title: 'When', brief: true, render: (s) => (s.enabled ? <span><code>{s.cron}</code> {s.time_zone}</span> : <Text span size="sm" c="dimmed">switched off (<code>{s.cron}</code>)</Text>) },
    { key: 'next', title: 'Next', brief: true, render: (s) => (s.enabled ? <When time={s.next_run_at} /> : '') },
    { key: 'last', title: 'Last', brief: true, render: (s) => <When time={s.last_run_at} /> },
    { key: 'go', title: 'Actions', quiet: true, render: (s) => (administrator ? (
      <Group gap={6}>
        <Button size="compact-xs" variant="default" aria-label={`Run now: ${s.name}`} loading={run.isPending && run.variables.params.path.name === s.name} onClick={() => run.mutate({ params: { path: { name: s.name } } })}>Run now</Button>
        <Button size="compact-xs" variant="default" aria-label={`Edit ${s.name}`} onClick={() => setEditing(s)}>Edit</Button>
      </Group>
    ) : null) },
  ]
  return (
    <Panel title="Schedules">
      <Failure what="The job was not started" error={run.error} />
      {list.data ? <DataTable caption="Schedules" columns={columns} rows={list.data.items} rowKey={(s) => s.name} /> : <Waiting query={list} what="The schedules cannot be shown" />}
      {editing && <Edit schedule={editing} onClose={() => setEditing(undefined)} />}
    </Panel>
  )
}

function Edit({ schedule, onClose }: { schedule: Schedule; onClose: () => void }) {
  const queries = useQueryClient()
  const refresh = useRefresh()
  const [cron, setCron] = useState(schedule.cron)
  const [zone, setZone] = useState(schedule.time_zone)
  const [enabled, setEnabled] = useState(schedule.enabled)
  const change = api.useMutation('patch', '/schedules/{name}', { onSuccess: async () => {
    await queries.invalidateQueries({ queryKey: ['get', '/schedules'] })
    onClose()
  } })
  return (
    <Dialog opened onClose={onClose} title={`When ${schedule.name} runs`}>
      <form onSubmit={(e) => { e.preventDefault(); change.mutate({ params: { path: { name: schedule.name }, header: { 'If-Match': schedule.etag } }, body: { cron, enabled, time_zone: zone } }) }}>
        <Stack gap="sm">
          <TextInput label="Cron expression" description="minute hour day month weekday, as in 0 2 * * *" value={cron} onChange={(e) => setCron(e.currentTarget.value)} required data-autofocus />
          <TextInput label="Time zone" description="As in UTC or Europe/Zurich" value={zone} onChange={(e) => setZone(e.currentTarget.value)} />
          <Switch label="Runs by itself" checked={enabled} onChange={(e) => setEnabled(e.currentTarget.checked)} />
          <Failure what="It was not changed" error={change.error} reload={() => void refresh().then(onClose)} />
          <Group justify="flex-end"><Button variant="default" onClick={onClose}>Cancel</Button><Button type="submit" loading={change.isPending}>Save</Button></Group>
        </Stack>
      </form>
    </Dialog>
  )
}

const columns: Column<Job>[] = [
  { key: 'kind', title: 'Job', lead: true, render: (j) => <Anchor component={Link} fz="inherit" fw={600} to={`/administration/jobs/${j.id}`}>{j.kind}</Anchor> },
  { key: 'key', title: 'About', render: (j) => <span className="break">{j.key}</span> },
  { key: 'state', title: 'State', brief: true, render: (j) => <JobState job={j} /> },
  { key: 'tries', title: 'Tries', numeric: true, width: '80px', render: (j) => <span style={{ whiteSpace: 'nowrap' }}>{j.attempts} of {j.max_attempts}</span> },
  { key: 'started', title: 'Started', brief: true, render: (j) => <When time={j.started_at} none="not yet" /> },
  { key: 'finished', title: 'Ended', brief: true, render: (j) => <When time={j.finished_at} none="" /> },
]

function Runs() {
  const url = useUrlState()
  const size = Number(url.get('size')) || 25
  const state = url.get('state')
  const list = api.useQuery('get', '/jobs', { params: { query: { page_size: size, page_token: url.get('token') || undefined, state: (state || undefined) as Job['state'] | undefined, kind: url.get('kind') || undefined, order: url.get('order') === 'asc' ? 'asc' : 'desc' } } }, { refetchInterval: 4000, placeholderData: keepPreviousData })
  const search = useDebouncedCallback((kind: string) => url.set({ kind }), 300)
  return (
    <Panel title="Runs" actions={(
      <Group gap="xs">
        <TextInput type="search" size="xs" aria-label="Job, by its whole name" placeholder="update-feeds" defaultValue={url.get('kind')} onChange={(e) => search(e.currentTarget.value.trim())} w={150} />
        <Select size="xs" aria-label="Order" data={[{ value: '', label: 'The newest first' }, { value: 'asc', label: 'The oldest first' }]} value={url.get('order')} onChange={(v) => url.set({ order: v ?? '' })} w={150} />
        <Select size="xs" aria-label="State" data={[{ value: '', label: 'Every state' }, 'queued', 'running', 'done', 'failed', 'cancelled']} value={state} onChange={(v) => url.set({ state: v ?? '' })} w={140} />
      </Group>
    )}>
      {list.data ? (
        <>
          <DataTable caption="Runs of jobs" columns={columns} rows={list.data.items} rowKey={(j) => String(j.id)} empty={<Empty title="No runs">{state || url.get('kind') ? 'None of this name and state.' : 'Nothing ran yet.'}</Empty>} />
          <Pager size={size} onSize={(n) => url.set({ size: String(n) })} previousLabel="First page"
            onPrevious={url.get('token') ? () => url.set({ token: '' }, { push: true }) : undefined}
            onNext={list.data.next_page_token ? () => url.set({ token: list.data.next_page_token }, { push: true }) : undefined} />
        </>
      ) : <Waiting query={list} what="The runs cannot be shown" />}
    </Panel>
  )
}
