import { Anchor, Badge, Button, Checkbox, Group, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { keepPreviousData } from '@tanstack/react-query'
import { useState } from 'react'
import { Link } from 'react-router'

import { api, type Schemas } from '../api/client'
import { Counting } from '../ui/Counting'
import { DataTable } from '../ui/DataTable'
import { Empty } from '../ui/Empty'
import { number, percent, plural } from '../ui/format'
import { Waiting } from '../ui/Loading'
import { Page } from '../ui/Page'
import { Pager } from '../ui/Pager'
import type { Column } from '../ui/rows'
import { Severity } from '../ui/Severity'
import { State } from '../ui/State'
import { useUrlState } from '../ui/urlState'
import { When } from '../ui/When'
import { AssessDialog } from './AssessDialog'
import { filters, queryOf } from './filter'
import { Filters } from './Filters'

type Summary = Schemas['VulnerabilitySummary']

export function Component() {
  const url = useUrlState()
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set())
  const [assessing, dialog] = useDisclosure(false)
  const size = Number(url.get('size')) || 50
  const query = { ...queryOf(url, new Date()), page_size: size, page_token: url.get('token') || undefined }
  const list = api.useQuery('get', '/vulnerabilities', { params: { query } }, { placeholderData: keepPreviousData })
  const filtered = filters(url)
  const rows = list.data?.items ?? []
  const toggle = (name: string) => setChosen((now) => {
    const next = new Set(now)
    if (!next.delete(name)) next.add(name)
    return next
  })
  const everything = rows.length > 0 && rows.every((v) => chosen.has(v.name))
  const columns: Column<Summary>[] = [
    { key: 'choose', title: 'Choose', quiet: true, corner: true, width: '32px', render: (v) => <Checkbox size="xs" aria-label={`Choose ${v.name}`} checked={chosen.has(v.name)} onChange={() => toggle(v.name)} /> },
    {
      key: 'name', title: 'Vulnerability', lead: true, sorted: true,
      render: (v) => (
        <>
          <Anchor component={Link} to={`/vulnerabilities/${encodeURIComponent(v.name)}`} fw={600} fz="inherit" style={{ whiteSpace: 'nowrap' }}>{v.name}</Anchor>
          {v.description && <Text size="xs" c="dimmed" component="div" lineClamp={1}>{v.description}</Text>}
        </>
      ),
    },
    {
      key: 'severity', title: 'Severity', brief: true, sorted: true, down: true,
      render: (v) => <Group gap={6} wrap="nowrap"><Severity value={v.severity} />{v.exploited && <Badge size="xs" color="red" variant="outline" title="On a list of exploited vulnerabilities" style={{ flexShrink: 0 }}>exploited</Badge>}</Group>,
    },
    { key: 'cvss', title: 'CVSS', numeric: true, sorted: true, render: (v) => v.cvss?.toFixed(1) ?? '' },
    { key: 'epss', title: 'EPSS', numeric: true, sorted: true, render: (v) => (v.epss === undefined ? '' : <span style={{ whiteSpace: 'nowrap' }}>{percent(v.epss)}</span>) },
    { key: 'first_seen', title: 'First seen', brief: true, sorted: true, down: true, render: (v) => <When time={v.first_seen} /> },
    { key: 'images', title: 'Images', numeric: true, sorted: true, render: (v) => number(v.image_count) },
    { key: 'packages', title: 'Packages', numeric: true, render: (v) => number(v.package_count) },
    { key: 'fix', title: 'Fix', brief: true, render: (v) => (v.fixable ? 'available' : <Text span size="sm" c="dimmed">none</Text>) },
    { key: 'state', title: 'State', brief: true, render: (v) => <Group gap={8}>{v.states.map((s) => <State key={s} name={s} />)}</Group> },
  ]
  const names = [...chosen]
  return (
    <Page title="Vulnerabilities" lead="Everything that affects an image stored here, the gravest first."
      actions={<Button disabled={names.length === 0} onClick={dialog.open}>{names.length === 0 ? 'Choose some to assess' : `Assess ${names.length}`}</Button>}
    >
      <Counting />
      <Filters url={url} />
      {list.data ? (
        <>
          {rows.length > 0 && (
            <Checkbox size="xs" mb={6} label={`Choose all ${rows.length} on this page`} checked={everything} indeterminate={!everything && rows.some((v) => chosen.has(v.name))}
              onChange={() => setChosen((now) => new Set(everything ? [...now].filter((n) => !rows.some((v) => v.name === n)) : [...now, ...rows.map((v) => v.name)]))} />
          )}
          <DataTable
            caption="Vulnerabilities" columns={columns} rows={rows} rowKey={(v) => v.name} sort={url.get('sort')} onSort={(sort) => url.set({ sort })}
            empty={filtered ? <Empty title="Nothing matches">Change the search or the filters above.</Empty>
              : <Empty title="Nothing affects a stored image">That is so where images are stored and feeds are current: see <Anchor component={Link} to="/administration/feeds" fz="inherit">Feeds</Anchor> and <Anchor component={Link} to="/registries" fz="inherit">Registries</Anchor>.</Empty>}
          />
          <Pager
            size={size} onSize={(n) => url.set({ size: n === 50 ? '' : String(n) })} previousLabel="First page"
            onPrevious={url.get('token') ? () => url.set({ token: '' }, { push: true }) : undefined}
            onNext={list.data.next_page_token ? () => url.set({ token: list.data.next_page_token }, { push: true }) : undefined}
          />
        </>
      ) : <Waiting query={list} what="The vulnerabilities cannot be shown" />}
      {assessing && <AssessDialog vulnerabilities={names} onClose={dialog.close} onDone={() => setChosen(new Set())} />}
      {names.length > 0 && <Text size="xs" c="dimmed" role="status" mt="xs">{plural(names.length, 'vulnerability', 'vulnerabilities')} chosen, on all pages.</Text>}
    </Page>
  )
}
