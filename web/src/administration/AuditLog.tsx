import { Button, Group, Select, TextInput } from '@mantine/core'
import { useDebouncedCallback } from '@mantine/hooks'
import { IconDownload, IconSearch } from '@tabler/icons-react'
import { keepPreviousData } from '@tanstack/react-query'

import { api, type Schemas } from '../api/client'
import { DataTable } from '../ui/DataTable'
import { Empty } from '../ui/Empty'
import { exactly } from '../ui/format'
import { Waiting } from '../ui/Loading'
import { Page } from '../ui/Page'
import { Pager } from '../ui/Pager'
import type { Column } from '../ui/rows'
import { useUrlState } from '../ui/urlState'
import { kindsOf } from './actions'

const columns: Column<Schemas['AuditEntry']>[] = [
  { key: 'at', title: 'When', brief: true, sorted: true, down: true, width: '170px', render: (e) => <span style={{ whiteSpace: 'nowrap' }}>{exactly(e.at)}</span> },
  { key: 'actor', title: 'Who', brief: true, render: (e) => <b>{e.actor}</b> },
  { key: 'action', title: 'Did', lead: true, render: (e) => <code>{e.action}</code> },
  { key: 'object', title: 'To', render: (e) => <span className="break">{e.object}</span> },
  { key: 'detail', title: 'Detail', render: (e) => {
    const text = JSON.stringify(e.detail)
    return text === '{}' ? '' : <details><summary>show</summary><code className="break">{text}</code></details>
  } },
]

/** The day of a date field as the server reads times. */
function startOfDay(day: string): string | undefined {
  return /^\d{4}-\d\d-\d\d$/.test(day) ? `${day}T00:00:00Z` : undefined
}

export function Component() {
  const url = useUrlState()
  const size = Number(url.get('size')) || 50
  const filter = {
    q: url.get('q') || undefined, actor: url.get('actor') || undefined, action: url.get('action') || undefined,
    since: startOfDay(url.get('since')), before: startOfDay(url.get('before')), order: url.get('sort') === 'at' ? 'asc' as const : 'desc' as const,
  }
  const list = api.useQuery('get', '/audit-log', {
    params: { query: {
      page_size: size, page_token: url.get('token') || undefined, ...filter,
    } },
  }, { placeholderData: keepPreviousData })
  const actions = api.useQuery('get', '/audit-log/actions')
  const type = useDebouncedCallback((values: Record<string, string>) => url.set(values), 300)
  const filtered = ['q', 'actor', 'action', 'since', 'before'].some((name) => url.get(name) !== '')
  return (
    <Page title="Audit Log" trail={[{ to: '/administration/system', label: 'Administration' }]} lead="Who changed what, and when; the newest first. It only grows.">
      <Group gap="xs" mb="sm">
        <TextInput type="search" size="xs" aria-label="What was changed" placeholder="What was changed" leftSection={<IconSearch size={14} aria-hidden />} defaultValue={url.get('q')} onChange={(e) => type({ q: e.currentTarget.value.trim() })} w={{ base: '100%', xs: 200 }} />
        <TextInput type="search" size="xs" aria-label="Who, by the whole name" placeholder="Who" defaultValue={url.get('actor')} onChange={(e) => type({ actor: e.currentTarget.value.trim() })} w={130} />
        <Select size="xs" aria-label="Kind of change" data={[{ value: '', label: 'Every change' }, ...kindsOf(actions.data?.items.map((a) => a.action) ?? [], url.get('action'))]} value={url.get('action')} onChange={(v) => url.set({ action: v ?? '' })} w={170} />
        <TextInput type="date" size="xs" aria-label="From this day (UTC)" title="From this day (UTC)" value={url.get('since')} onChange={(e) => url.set({ since: e.currentTarget.value })} />
        <TextInput type="date" size="xs" aria-label="Before this day (UTC)" title="Before this day (UTC)" value={url.get('before')} onChange={(e) => url.set({ before: e.currentTarget.value })} />
        {(['csv', 'jsonl'] as const).map((format) => (
          <Button key={format} component="a" size="xs" variant="default" download leftSection={<IconDownload size={14} aria-hidden />}
            href={`/api/v1/audit-log/export?${new URLSearchParams(Object.entries({ ...filter, format }).filter((e): e is [string, string] => Boolean(e[1])))}`}>
            {format === 'csv' ? 'CSV' : 'JSON lines'}
          </Button>
        ))}
      </Group>
      {list.data ? (
        <>
          <DataTable caption="Changes" columns={columns} rows={list.data.items} rowKey={(e) => String(e.id)} sort={url.get('sort') || '-at'} onSort={(sort) => url.set({ sort: sort === 'at' ? 'at' : '' })}
            empty={filtered ? <Empty title="No such changes">Take a filter away, or look for another time.</Empty> : <Empty title="Nothing was changed yet" />} />
          <Pager size={size} onSize={(n) => url.set({ size: n === 50 ? '' : String(n) })} previousLabel="First page"
            onPrevious={url.get('token') ? () => url.set({ token: '' }, { push: true }) : undefined}
            onNext={list.data.next_page_token ? () => url.set({ token: list.data.next_page_token }, { push: true }) : undefined} />
        </>
      ) : <Waiting query={list} what="The audit log cannot be shown" />}
    </Page>
  )
}
