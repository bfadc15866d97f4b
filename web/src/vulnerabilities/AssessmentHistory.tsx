import { Anchor, Text } from '@mantine/core'
import { keepPreviousData } from '@tanstack/react-query'
import { Link } from 'react-router'

import { api, type Schemas } from '../api/client'
import { DataTable } from '../ui/DataTable'
import { Empty } from '../ui/Empty'
import { exactly } from '../ui/format'
import { Waiting } from '../ui/Loading'
import { Pager } from '../ui/Pager'
import type { Column } from '../ui/rows'
import { State } from '../ui/State'
import { useUrlState } from '../ui/urlState'
import { actions, type AssessmentEvent, eventOf } from './assessmentEvent'
import { scopeInWords } from './AssessmentList'

const columns = (linked: boolean): Column<AssessmentEvent>[] => [
  { key: 'at', title: 'When', brief: true, width: '170px', render: (e) => <span style={{ whiteSpace: 'nowrap' }}>{exactly(e.at)}</span> },
  { key: 'actor', title: 'Who', brief: true, render: (e) => <b>{e.actor}</b> },
  { key: 'action', title: 'Did', lead: true, render: (e) => (linked ? <Anchor component={Link} fz="inherit" to={`/assessments/${e.assessment}`}>{actions[e.action]}</Anchor> : actions[e.action]) },
  { key: 'type', title: 'As', brief: true, render: (e) => (e.type === '' ? '' : <State name={e.type} />) },
  { key: 'scope', title: 'Where', brief: true, render: (e) => scopeInWords(e.scope) },
  { key: 'until', title: 'Until', brief: true, render: (e) => (e.expiresAt === '' ? 'without end' : exactly(e.expiresAt)) },
  { key: 'comment', title: 'Comment', render: (e) => <>{e.comment}{e.why !== '' && <Text size="xs" c="dimmed" component="div">{e.why}</Text>}</> },
]

/** What happened to the assessments of a vulnerability, the newest first. */
export function VulnerabilityHistory({ name }: { name: string }) {
  const { size, token } = useWhere()
  const list = api.useQuery('get', '/vulnerabilities/{name}/history', { params: { path: { name }, query: { page_size: size, page_token: token } } }, { placeholderData: keepPreviousData })
  return list.data ? <Events list={list.data} linked /> : <Waiting query={list} what="The history cannot be shown" />
}

/** What happened to one assessment, the newest first. */
export function AssessmentHistory({ id }: { id: number }) {
  const { size, token } = useWhere()
  const list = api.useQuery('get', '/assessments/{id}/history', { params: { path: { id }, query: { page_size: size, page_token: token } } }, { placeholderData: keepPreviousData })
  return list.data ? <Events list={list.data} linked={false} /> : <Waiting query={list} what="The history cannot be shown" />
}

function useWhere() {
  const url = useUrlState()
  return { size: Number(url.get('size')) || 50, token: url.get('token') || undefined }
}

function Events({ list, linked }: { list: Schemas['ListAssessmentEvent']; linked: boolean }) {
  const url = useUrlState()
  const { size } = useWhere()
  return (
    <>
      <DataTable caption="History of assessments, the newest first" columns={columns(linked)} rows={list.items.map(eventOf)} rowKey={(e) => String(e.id)} empty={<Empty title="Never assessed">Whoever assesses it, edits that or ends it is listed here for good.</Empty>} />
      <Pager size={size} onSize={(n) => url.set({ size: n === 50 ? '' : String(n) })} previousLabel="Newest"
        onPrevious={url.get('token') ? () => url.set({ token: '' }, { push: true }) : undefined}
        onNext={list.next_page_token ? () => url.set({ token: list.next_page_token }, { push: true }) : undefined} />
    </>
  )
}
