import { Button, Text } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useState } from 'react'

import { api, type Schemas } from '../api/client'
import { useAdministrator } from '../shell/session'
import { DataTable } from '../ui/DataTable'
import { plural } from '../ui/format'
import { Waiting } from '../ui/Loading'
import { Page } from '../ui/Page'
import type { Column } from '../ui/rows'
import { State } from '../ui/State'
import { AssessmentTypeForm } from './AssessmentTypeForm'
import { ruleInWords } from './rule'

type Type = Schemas['AssessmentType']

export function Component() {
  const administrator = useAdministrator()
  const [editing, setEditing] = useState<Type | 'new'>()
  const list = api.useQuery('get', '/assessment-types')
  const columns: Column<Type>[] = [
    { key: 'name', title: 'Type', lead: true, render: (t) => <b><State name={t.name} /></b> },
    { key: 'description', title: 'Description', render: (t) => t.description },
    { key: 'effect', title: 'Effect', render: (t) => (t.effect === 'blocks' ? 'blocks pulls' : t.effect === 'warns' ? 'warns' : 'none') },
    { key: 'rule', title: 'Rule', render: (t) => (t.rule === undefined ? <Text span size="sm" c="dimmed">none</Text> : ruleInWords(t.rule)) },
    { key: 'expiry', title: 'Holds for', render: (t) => (t.expiry_days === null ? 'ever' : plural(t.expiry_days, 'day')) },
    { key: 'position', title: 'Position', numeric: true, render: (t) => t.position },
    { key: 'edit', title: 'Actions', quiet: true, render: (t) => (administrator ? <Button size="compact-xs" variant="default" aria-label={`Edit ${t.name}`} onClick={() => setEditing(t)}>Edit</Button> : null) },
  ]
  return (
    <Page title="Assessment Types" trail={[{ to: '/administration/system', label: 'Administration' }]} lead="The decisions that can be taken on a vulnerability. What is not assessed, or no longer, is Unassessed."
      actions={administrator ? <Button leftSection={<IconPlus size={15} aria-hidden />} onClick={() => setEditing('new')}>New type</Button> : undefined}
    >
      {list.data ? <DataTable caption="Assessment types" columns={columns} rows={list.data.items} rowKey={(t) => t.name} /> : <Waiting query={list} what="The assessment types cannot be shown" />}
      {editing && <AssessmentTypeForm type={editing === 'new' ? undefined : editing} onClose={() => setEditing(undefined)} />}
    </Page>
  )
}
