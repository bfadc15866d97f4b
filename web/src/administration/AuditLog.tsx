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

const columns: Column<Schemas['AuditEntry']>[] = [
  { key: 'at', title: 'When', width: '170px', render: (e) => <span style={{ whiteSpace: 'nowrap' }}>{exactly(e.at)}</span> },
  { key: 'actor', title: 'Who', render: (e) => <b>{e.actor}</b> },
  { key: 'action', title: 'Did', lead: true, render: (e) => <code>{e.action}</code> },
  { key: 'object', title: 'To', render: (e) => <span className="break">{e.object}</span> },
  { key: 'detail', title: 'Detail', render: (e) => {
    const text = JSON.stringify(e.detail)
    return text === '{}' ? '' : <details><summary>show</summary><code className="break">{text}</code></details>
  } },
]

export function Component() {
  const url = useUrlState()
  const size = Number(url.get('size')) || 50
  const list = api.useQuery('get', '/audit-log', { params: { query: { page_size: size, page_token: url.get('token') || undefined } } }, { placeholderData: keepPreviousData })
  return (
    <Page title="Audit Log" trail={[{ to: '/administration/system', label: 'Administration' }]} lead="Who changed what, and when; the newest first. It only grows.">
      {list.data ? (
        <>
          <DataTable caption="Changes" columns={columns} rows={list.data.items} rowKey={(e) => String(e.id)} empty={<Empty title="Nothing was changed yet" />} />
          <Pager size={size} onSize={(n) => url.set({ size: n === 50 ? '' : String(n) })} previousLabel="Newest"
            onPrevious={url.get('token') ? () => url.set({ token: '' }, { push: true }) : undefined}
            onNext={list.data.next_page_token ? () => url.set({ token: list.data.next_page_token }, { push: true }) : undefined} />
        </>
      ) : <Waiting query={list} what="The audit log cannot be shown" />}
    </Page>
  )
}
