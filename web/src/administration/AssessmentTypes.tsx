import { Button, ColorInput, Group, NumberInput, Stack, Switch, TextInput } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'

import { Dialog } from '../ui/Dialog'
import { api, type Schemas } from '../api/client'
import { useAdministrator } from '../shell/session'
import { DataTable } from '../ui/DataTable'
import { Failure } from '../ui/Failure'
import { plural } from '../ui/format'
import { Waiting } from '../ui/Loading'
import { Page } from '../ui/Page'
import type { Column } from '../ui/rows'
import { State } from '../ui/State'

type Type = Schemas['AssessmentType']

export function Component() {
  const administrator = useAdministrator()
  const [editing, setEditing] = useState<Type | 'new'>()
  const list = api.useQuery('get', '/assessment-types')
  const columns: Column<Type>[] = [
    { key: 'name', title: 'Type', lead: true, render: (t) => <b><State name={t.name} /></b> },
    { key: 'description', title: 'Description', render: (t) => t.description },
    { key: 'blocks', title: 'Pulls', render: (t) => (t.blocks ? 'blocked, where the policy says so' : 'allowed') },
    { key: 'expiry', title: 'Holds for', render: (t) => (t.expiry_days === null ? 'ever' : plural(t.expiry_days, 'day')) },
    { key: 'position', title: 'Position', numeric: true, render: (t) => t.position },
    { key: 'edit', title: 'Actions', quiet: true, render: (t) => (administrator ? <Button size="compact-xs" variant="default" aria-label={`Edit ${t.name}`} onClick={() => setEditing(t)}>Edit</Button> : null) },
  ]
  return (
    <Page title="Assessment Types" trail={[{ to: '/administration/system', label: 'Administration' }]} lead="The decisions that can be taken on a vulnerability. What is not assessed, or no longer, is Unassessed."
      actions={administrator ? <Button leftSection={<IconPlus size={15} aria-hidden />} onClick={() => setEditing('new')}>New type</Button> : undefined}
    >
      {list.data ? <DataTable caption="Assessment types" columns={columns} rows={list.data.items} rowKey={(t) => t.name} /> : <Waiting query={list} what="The assessment types cannot be shown" />}
      {editing && <Edit type={editing === 'new' ? undefined : editing} onClose={() => setEditing(undefined)} />}
    </Page>
  )
}

function Edit({ type, onClose }: { type?: Type; onClose: () => void }) {
  const queries = useQueryClient()
  const [name, setName] = useState(type?.name ?? '')
  const [color, setColor] = useState(type?.color ?? '#6b7280')
  const [description, setDescription] = useState(type?.description ?? '')
  const [blocks, setBlocks] = useState(type?.blocks ?? false)
  const [days, setDays] = useState<number | string>(type?.expiry_days ?? '')
  const [position, setPosition] = useState<number | string>(type?.position ?? 100)
  const done = { onSuccess: async () => {
    await queries.invalidateQueries({ queryKey: ['get', '/assessment-types'] })
    onClose()
  } }
  const create = api.useMutation('post', '/assessment-types', done)
  const change = api.useMutation('patch', '/assessment-types/{name}', done)
  const body = { color, description, blocks, expiry_days: days === '' ? null : Number(days), position: Number(position) || 0 }
  return (
    <Dialog opened onClose={onClose} title={type ? `Edit ${type.name}` : 'New assessment type'}>
      <form onSubmit={(e) => {
        e.preventDefault()
        if (type) change.mutate({ params: { path: { name: type.name }, header: { 'If-Match': type.etag } }, body })
        else create.mutate({ body: { name, ...body } })
      }}>
        <Stack gap="sm">
          {!type && <TextInput label="Name" description="It never changes." required value={name} onChange={(e) => setName(e.currentTarget.value)} data-autofocus />}
          <TextInput label="Description" value={description} onChange={(e) => setDescription(e.currentTarget.value)} />
          <ColorInput label="Colour" value={color} onChange={setColor} eyeDropperButtonProps={{ 'aria-label': 'Take a colour from the screen' }} />
          <Switch label="Blocks pulls" checked={blocks} onChange={(e) => setBlocks(e.currentTarget.checked)} />
          <NumberInput label="Holds for" description="Empty: without end" suffix=" days" min={1} max={3650} value={days} onChange={setDays} />
          <NumberInput label="Position in lists" min={0} value={position} onChange={setPosition} />
          <Failure what="It was not saved" error={create.error ?? change.error} />
          <Group justify="flex-end"><Button variant="default" onClick={onClose}>Cancel</Button><Button type="submit" loading={create.isPending || change.isPending}>Save</Button></Group>
        </Stack>
      </form>
    </Dialog>
  )
}
