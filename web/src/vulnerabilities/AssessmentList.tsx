import { Anchor, Button, Text } from '@mantine/core'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { Link } from 'react-router'

import { api, type Schemas } from '../api/client'
import { Confirm } from '../ui/Confirm'
import { DataTable } from '../ui/DataTable'
import { Empty } from '../ui/Empty'
import { shortDigest } from '../ui/format'
import type { Column } from '../ui/rows'
import { State } from '../ui/State'
import { When } from '../ui/When'

type Assessment = Schemas['Assessment']

/** Decisions with what became of them. */
export function AssessmentList({ assessments, vulnerability = true, empty }: { assessments: Assessment[]; vulnerability?: boolean; empty?: React.ReactNode }) {
  const queries = useQueryClient()
  const [ending, setEnding] = useState<Assessment>()
  const withdraw = api.useMutation('delete', '/assessments/{id}', {
    onSuccess: async () => {
      setEnding(undefined)
      await queries.invalidateQueries({ predicate: (q) => q.queryKey[1] !== '/session' })
    },
  })
  const columns: Column<Assessment>[] = [
    ...(vulnerability ? [{ key: 'v', title: 'Vulnerability', lead: true, render: (a: Assessment) => <Anchor component={Link} fz="inherit" fw={600} to={`/vulnerabilities/${encodeURIComponent(a.vulnerability)}?tab=assessments`}>{a.vulnerability}</Anchor> }] : []),
    { key: 'type', title: 'Assessed as', brief: true, lead: !vulnerability, render: (a) => <State name={a.type} /> },
    { key: 'scope', title: 'Where', brief: true, render: (a) => scopeInWords(a.scope) },
    { key: 'comment', title: 'Comment', render: (a) => a.comment },
    { key: 'by', title: 'By', render: (a) => <>{a.author}, <When time={a.created_at} /></> },
    {
      key: 'until', title: 'Until',
      render: (a) => (a.live ? (a.expires_at ? <When time={a.expires_at} /> : 'without end') : <Text span size="sm" c="dimmed">{a.ended_reason}{a.ended_by ? ` by ${a.ended_by}` : ''}, <When time={a.ended_at} /></Text>),
    },
    { key: 'end', title: 'Actions', quiet: true, render: (a) => (a.live ? <Button size="compact-xs" variant="default" onClick={() => setEnding(a)} aria-label={`Withdraw the assessment of ${a.vulnerability} as ${a.type}`}>Withdraw</Button> : null) },
    { key: 'go', title: 'More', quiet: true, render: (a) => <Anchor component={Link} fz="xs" to={`/assessments/${a.id}`} aria-label={`History of the assessment of ${a.vulnerability} as ${a.type}`}>history</Anchor> },
  ]
  return (
    <>
      <DataTable caption="Assessments" columns={columns} rows={assessments} rowKey={(a) => String(a.id)} empty={empty ?? <Empty title="Never assessed">Press Assess above to decide, with a comment and an expiry.</Empty>} />
      {ending && (
        <Confirm opened title={`Withdraw the assessment of ${ending.vulnerability}?`} action="Withdraw" busy={withdraw.isPending} error={withdraw.error}
          onClose={() => setEnding(undefined)} onConfirm={() => withdraw.mutate({ params: { path: { id: ending.id } } })}>
          <b>{ending.type}</b> {ending.scope.kind === 'everywhere' ? 'everywhere' : `for ${scopeInWords(ending.scope)}`} ends now. Its findings are unassessed again, unless a wider assessment covers them. It stays in the history.
        </Confirm>
      )}
    </>
  )
}

export function scopeInWords(scope: Schemas['Scope']): string {
  if (scope.kind === 'everywhere') return 'everywhere'
  return `${scope.kind} ${scope.kind === 'image' ? shortDigest(scope.value ?? '') : scope.value ?? ''}`
}
