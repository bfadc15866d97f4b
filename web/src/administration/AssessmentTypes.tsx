import { ActionIcon, Button, Group, Text } from '@mantine/core'
import { IconArrowDown, IconArrowUp, IconPlus } from '@tabler/icons-react'
import { useState } from 'react'

import { api, type Schemas } from '../api/client'
import { useAdministrator } from '../shell/session'
import { DataTable } from '../ui/DataTable'
import { plural } from '../ui/format'
import { Failure } from '../ui/Failure'
import { Waiting } from '../ui/Loading'
import { Page } from '../ui/Page'
import { useRefresh } from '../ui/refresh'
import type { Column } from '../ui/rows'
import { State } from '../ui/State'
import { AssessmentTypeForm } from './AssessmentTypeForm'
import { ruleInWords } from './rule'

type Type = Schemas['AssessmentType']

export function Component() {
  const administrator = useAdministrator()
  const [editing, setEditing] = useState<Type | 'new'>()
  const list = api.useQuery('get', '/assessment-types')
  const refresh = useRefresh()
  const order = api.useMutation('put', '/assessment-type-order', { onSuccess: refresh })
  const names = (list.data?.items ?? []).map((t) => t.name)
  const move = (name: string, by: number) => {
    const at = names.indexOf(name)
    const next = names.filter((n) => n !== name)
    next.splice(at + by, 0, name)
    order.mutate({ body: { names: next } })
  }
  const columns: Column<Type>[] = [
    { key: 'name', title: 'Type', lead: true, render: (t) => <b><State name={t.name} /></b> },
    { key: 'description', title: 'Description', render: (t) => t.description },
    { key: 'effect', title: 'Effect', brief: true, render: (t) => (t.effect === 'blocks' ? 'blocks pulls' : t.effect === 'warns' ? 'warns' : 'none') },
    { key: 'rule', title: 'Rule', render: (t) => (t.rule === undefined ? <Text span size="sm" c="dimmed">none</Text> : ruleInWords(t.rule)) },
    { key: 'expiry', title: 'Holds for', brief: true, render: (t) => (t.expiry_days === null ? 'ever' : plural(t.expiry_days, 'day')) },
    { key: 'edit', title: 'Actions', quiet: true, render: (t) => (administrator ? (
      <Group gap={6} wrap="nowrap">
        <ActionIcon size="sm" variant="default" aria-label={`Move ${t.name} up`} disabled={names[0] === t.name || order.isPending} onClick={() => move(t.name, -1)}><IconArrowUp size={14} aria-hidden /></ActionIcon>
        <ActionIcon size="sm" variant="default" aria-label={`Move ${t.name} down`} disabled={names.at(-1) === t.name || order.isPending} onClick={() => move(t.name, 1)}><IconArrowDown size={14} aria-hidden /></ActionIcon>
        <Button size="compact-xs" variant="default" aria-label={`Edit ${t.name}`} onClick={() => setEditing(t)}>Edit</Button>
      </Group>
    ) : null) },
  ]
  return (
    <Page title="Assessment Types" trail={[{ to: '/administration/system', label: 'Administration' }]} lead="The decisions that can be taken on a vulnerability, in the order in which they are offered. The first one whose rule matches assesses by itself. What is not assessed, or no longer, is Unassessed."
      actions={administrator ? <Button leftSection={<IconPlus size={15} aria-hidden />} onClick={() => setEditing('new')}>New type</Button> : undefined}
    >
      <Failure what="The order was not changed" error={order.error} />
      {list.data ? <DataTable caption="Assessment types" columns={columns} rows={list.data.items} rowKey={(t) => t.name} /> : <Waiting query={list} what="The assessment types cannot be shown" />}
      {editing && <AssessmentTypeForm type={editing === 'new' ? undefined : editing} onClose={() => setEditing(undefined)} />}
    </Page>
  )
}
