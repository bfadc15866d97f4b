import { Button, Group, NumberInput, Stack, Text } from '@mantine/core'
import { useState } from 'react'

import { api, type Schemas } from '../api/client'
import { Confirm } from '../ui/Confirm'
import { DataTable } from '../ui/DataTable'
import { Empty } from '../ui/Empty'
import { Failure } from '../ui/Failure'
import { bytes, plural, shortDigest } from '../ui/format'
import { Waiting } from '../ui/Loading'
import { Panel } from '../ui/Panel'
import { useRefresh } from '../ui/refresh'
import { useRounds } from '../ui/rounds'
import { When } from '../ui/When'
import { Saved } from './Saved'

type Trashed = Schemas['Trashed']

const page = 25

/** What was deleted in a registry and can be restored. */
export function Trash({ name, administrator }: { name: string; administrator: boolean }) {
  const refresh = useRefresh()
  // The tokens of the pages that were left, and of this one.
  const [tokens, setTokens] = useState([''])
  const [emptying, setEmptying] = useState(false)
  const list = api.useQuery('get', '/registries/{registry}/trash', { params: { path: { registry: name }, query: { page_size: page, page_token: tokens.at(-1) } } })
  const restore = api.useMutation('post', '/registries/{registry}/trash/{id}/restore', { onSuccess: refresh })
  const empty = api.useMutation('delete', '/registries/{registry}/trash', { onSuccess: async () => {
    setEmptying(false)
    setTokens([''])
    await refresh()
  } })
  const some = (list.data?.items.length ?? 0) > 0
  return (
    <Panel title="Trash" actions={administrator && some ? <Button size="xs" variant="default" onClick={() => setEmptying(true)}>Empty the trash</Button> : undefined}>
      <Stack gap="sm">
        <Days name={name} disabled={!administrator} />
        {list.data ? (
          <DataTable
            caption={`Trash of ${name}`} rows={list.data.items} rowKey={(t) => String(t.id)}
            empty={<Empty title="The trash is empty">Tags, images and repositories that are deleted come here.</Empty>}
            columns={[
              { key: 'what', title: 'What', lead: true, render: (t) => <What trashed={t} /> },
              { key: 'size', title: 'Size', numeric: true, render: (t) => (t.kind === 'tag' ? '' : bytes(t.size_bytes)) },
              { key: 'deleted', title: 'Deleted', render: (t) => <><When time={t.deleted_at} /> by {t.deleted_by}</> },
              { key: 'why', title: 'Why', render: (t) => t.reason },
              { key: 'until', title: 'Gone for good', render: (t) => <When time={t.expires_at} /> },
              { key: 'go', title: 'Actions', quiet: true, render: (t) => (administrator ? (
                <Button size="compact-xs" variant="default" aria-label={`Restore ${label(t)}`} loading={restore.isPending && restore.variables.params.path.id === t.id} onClick={() => restore.mutate({ params: { path: { registry: name, id: t.id } } })}>Restore</Button>
              ) : null) },
            ]}
          />
        ) : <Waiting query={list} what="The trash cannot be shown" />}
        <Failure what="It was not restored" error={restore.error} />
        <div role="status">{restore.data && <Text size="sm">{told(restore.data)}</Text>}</div>
        {(tokens.length > 1 || list.data?.next_page_token) && (
          <Group gap="xs" justify="flex-end">
            <Button size="xs" variant="default" disabled={tokens.length === 1} onClick={() => setTokens(tokens.slice(0, -1))}>Newer</Button>
            <Button size="xs" variant="default" disabled={!list.data?.next_page_token} onClick={() => setTokens([...tokens, list.data?.next_page_token ?? ''])}>Older</Button>
          </Group>
        )}
      </Stack>
      <Confirm
        opened={emptying} onClose={() => setEmptying(false)} title={`Empty the trash of ${name}?`} action="Delete for good" busy={empty.isPending} error={empty.error}
        onConfirm={() => empty.mutate({ params: { path: { registry: name } } })}
      >
        All that is in it is deleted for good, and assessments end that hold in repositories of which nothing is left. This cannot be undone.
      </Confirm>
    </Panel>
  )
}

function label(t: Trashed): string {
  return t.tags.length > 0 ? `${t.repository}:${t.tags.join(', ')}` : `${t.repository}@${shortDigest(t.digest)}`
}

function What({ trashed: t }: { trashed: Trashed }) {
  return (
    <>
      <Text size="sm" fw={600} style={{ overflowWrap: 'anywhere' }}>{label(t)}</Text>
      <Text size="xs" c="dimmed">{t.kind === 'tag' ? 'only the tag' : t.kind} {shortDigest(t.digest)}</Text>
    </>
  )
}

function told(r: Schemas['Restored']): string {
  const tags = r.tags.length > 0 ? `, with ${r.tags.join(', ')}` : ''
  const taken = r.taken_tags.length > 0 ? ` ${r.taken_tags.join(', ')} stayed where somebody has pushed ${r.taken_tags.length === 1 ? 'it' : 'them'} since.` : ''
  const came = r.digests.length > 0 ? `${plural(r.digests.length, 'manifest')} came back to ${r.repository}${tags}.` : `${r.repository} is as it was${tags}.`
  return came + taken
}

function Days({ name, disabled }: { name: string; disabled: boolean }) {
  const { round, renew } = useRounds()
  const settings = api.useQuery('get', '/registries/{registry}/trash-settings', { params: { path: { registry: name } } })
  const change = api.useMutation('put', '/registries/{registry}/trash-settings', { onSuccess: renew })
  if (settings.data === undefined) return <Waiting query={settings} what="For how long things stay cannot be shown" />
  return <DaysForm key={round} settings={settings.data} disabled={disabled} change={change} onReload={() => { change.reset(); void renew() }} onSave={(days) => change.mutate({ params: { path: { registry: name } }, body: { days } })} />
}

interface Form {
  settings: Schemas['TrashSettings']
  disabled: boolean
  change: { error: unknown; isPending: boolean; isSuccess: boolean }
  onReload: () => void
  onSave: (days: number | null) => void
}

function DaysForm({ settings, disabled, change, onReload, onSave }: Form) {
  const [days, setDays] = useState<number | string>(settings.days ?? '')
  return (
    <form onSubmit={(e) => { e.preventDefault(); onSave(days === '' ? null : Number(days)) }}>
      <Stack gap="sm">
        <NumberInput
          label="Days in the trash" description={`Empty: ${settings.default_days}, as Advanced Settings say. 0: what is deleted is gone at once.`}
          min={0} max={3650} allowDecimal={false} disabled={disabled} value={days} onChange={setDays} maw={320}
        />
        <Saved change={change} disabled={disabled} onReload={onReload} />
      </Stack>
    </form>
  )
}
