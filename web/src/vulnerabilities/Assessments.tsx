import { Button, Group, Menu, Select, Switch, TextInput } from '@mantine/core'
import { useDebouncedCallback, useDisclosure } from '@mantine/hooks'
import { IconSearch } from '@tabler/icons-react'
import { keepPreviousData } from '@tanstack/react-query'

import { api } from '../api/client'
import { Empty } from '../ui/Empty'
import { Waiting } from '../ui/Loading'
import { Page } from '../ui/Page'
import { Pager } from '../ui/Pager'
import { useUrlState } from '../ui/urlState'
import { AssessmentList } from './AssessmentList'
import { ImportDialog } from './ImportDialog'

const formats = [{ value: 'csv', label: 'CSV' }, { value: 'openvex', label: 'OpenVEX' }, { value: 'cyclonedx', label: 'CycloneDX VEX' }]

const orders = [{ value: '', label: 'The newest first' }, { value: 'oldest', label: 'The oldest first' }, { value: 'expires_at', label: 'Those that end first' }, { value: 'vulnerability', label: 'By vulnerability' }]

const scopes = ['everywhere', 'registry', 'repository', 'image', 'package'] as const

/** All decisions. */
export function Component() {
  const url = useUrlState()
  const types = api.useQuery('get', '/assessment-types')
  const size = Number(url.get('size')) || 50
  const live = url.get('ended') === ''
  const sort = url.get('sort')
  const by = ({ expires_at: 'expires_at', vulnerability: 'vulnerability', oldest: 'created_at' } as const)[sort]
  const order = by === undefined ? {} : { sort: by, order: 'asc' as const }
  const list = api.useQuery('get', '/assessments', {
    params: { query: { page_size: size, page_token: url.get('token') || undefined, type: url.get('type') || undefined, vulnerability: url.get('vulnerability') || undefined, live, ...order,
      scope_kind: scopes.find((k) => k === url.get('scope')), author: url.get('author') || undefined, automatic: ({ rule: 'true', other: 'false' } as const)[url.get('automatic')],
    } },
  }, { placeholderData: keepPreviousData })
  const [importing, dialog] = useDisclosure(false)
  const search = useDebouncedCallback((vulnerability: string) => url.set({ vulnerability }), 300)
  const written = useDebouncedCallback((author: string) => url.set({ author }), 300)
  return (
    <Page title="Assessments" lead="What people, rules and VEX documents decided on vulnerabilities."
      actions={(
        <Group gap="xs">
          <Menu>
            <Menu.Target><Button variant="default">Export</Button></Menu.Target>
            <Menu.Dropdown>
              {formats.map((f) => <Menu.Item key={f.value} component="a" href={`/api/v1/assessments/export?format=${f.value}`} download>{f.label}</Menu.Item>)}
            </Menu.Dropdown>
          </Menu>
          <Button onClick={dialog.open}>Import</Button>
        </Group>
      )}
    >
      <Group gap="xs" mb="sm">
        <TextInput type="search" size="xs" aria-label="Vulnerability, by its whole name" placeholder="CVE-2024-0001" leftSection={<IconSearch size={14} aria-hidden />} defaultValue={url.get('vulnerability')} onChange={(e) => search(e.currentTarget.value)} w={{ base: '100%', xs: 200 }} />
        <Select size="xs" aria-label="Assessment type" data={[{ value: '', label: 'Every type' }, ...(types.data?.items ?? []).map((t) => t.name)]} value={url.get('type')} onChange={(v) => url.set({ type: v ?? '' })} w={150} />
        <Select size="xs" aria-label="Scope" data={[{ value: '', label: 'Every scope' }, ...scopes]} value={url.get('scope')} onChange={(v) => url.set({ scope: v ?? '' })} w={130} />
        <TextInput type="search" size="xs" aria-label="Author, by the whole name" placeholder="Author" defaultValue={url.get('author')} onChange={(e) => written(e.currentTarget.value.trim())} w={120} />
        <Select size="xs" aria-label="Taken by" data={[{ value: '', label: 'Rules and people' }, { value: 'rule', label: 'Rules only' }, { value: 'other', label: 'No rules' }]} value={url.get('automatic')} onChange={(v) => url.set({ automatic: v ?? '' })} w={150} />
        <Select size="xs" aria-label="Order" data={orders} value={url.get('sort')} onChange={(v) => url.set({ sort: v ?? '' })} w={190} />
        <Switch size="xs" label="Also those that ended" checked={!live} onChange={(e) => url.set({ ended: e.currentTarget.checked ? '1' : '' })} />
      </Group>
      {list.data ? (
        <>
          <AssessmentList assessments={list.data.items} empty={<Empty title="No assessments">Findings are assessed where they are: open an image or a vulnerability and press Assess.</Empty>} />
          <Pager size={size} onSize={(n) => url.set({ size: n === 50 ? '' : String(n) })} previousLabel="First page"
            onPrevious={url.get('token') ? () => url.set({ token: '' }, { push: true }) : undefined}
            onNext={list.data.next_page_token ? () => url.set({ token: list.data.next_page_token }, { push: true }) : undefined} />
        </>
      ) : <Waiting query={list} what="The assessments cannot be shown" />}
      {importing && <ImportDialog onClose={dialog.close} />}
    </Page>
  )
}
