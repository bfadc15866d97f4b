import { Button, Group, Stack, Text, TextInput } from '@mantine/core'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'

import { api, type Schemas } from '../api/client'
import { Failure } from '../ui/Failure'
import { Waiting } from '../ui/Loading'
import { LocalList } from '../ui/LocalList'
import { Page } from '../ui/Page'
import { Panel } from '../ui/Panel'
import { useRounds } from '../ui/rounds'
import { Empty } from '../ui/Empty'
import type { Column } from '../ui/rows'
import { Verdict } from '../ui/Verdict'
import { When } from '../ui/When'

type Setting = Schemas['Setting']

const columns: Column<Setting>[] = [
  { key: 'name', title: 'Setting', lead: true, value: (s) => s.name, render: (s) => <code>{s.name}</code> },
  { key: 'section', title: 'Section', brief: true, value: (s) => s.section, render: (s) => s.section },
  { key: 'value', title: 'Value', value: (s) => s.value, render: (s) => <span className="break">{s.secret ? 'secret' : s.value || <Text span size="sm" c="dimmed">empty</Text>}</span> },
  { key: 'help', title: 'What it does', render: (s) => s.help },
]

export function Component() {
  const list = api.useQuery('get', '/settings')
  const { round, renew } = useRounds()
  const editable = list.data?.items.filter((s) => s.editable) ?? []
  const given = list.data?.items.filter((s) => !s.editable) ?? []
  return (
    <Page title="Advanced Settings" trail={[{ to: '/administration/system', label: 'Administration' }]} lead="What is changed here holds at once. The rest is given at the start of the server, by a flag, the environment or a file.">
      {list.data ? (
        <Stack gap="md">
          <Editable key={round} settings={editable} etag={list.data.etag} reload={() => void renew()} />
          <Panel title="Given at the start of the server">
            <LocalList caption="Settings of the server's start" columns={columns} rows={given} rowKey={(s) => s.name} text={(s) => `${s.name} ${s.title} ${s.help} ${s.section}`} searchLabel="Search settings" empty={<Empty title="None" />} />
          </Panel>
        </Stack>
      ) : <Waiting query={list} what="The settings cannot be shown" />}
    </Page>
  )
}

interface Editing {
  etag: string
  reload: () => void
}

function Editable({ settings, etag, reload }: Editing & { settings: Setting[] }) {
  // What was seen, with what was saved since.
  const [seen, setSeen] = useState(etag)
  return <>{settings.map((s) => <Edit key={s.name} setting={s} etag={seen} reload={reload} onSaved={setSeen} />)}</>
}

function Edit({ setting, etag, reload, onSaved }: Editing & { setting: Setting; onSaved: (etag: string) => void }) {
  const queries = useQueryClient()
  const [value, setValue] = useState(setting.value)
  const change = api.useMutation('patch', '/settings', { onSuccess: async (now) => {
    onSaved(now.etag)
    await queries.invalidateQueries({ queryKey: ['get', '/settings'] })
  } })
  const title = setting.title || setting.name
  return (
    <Panel title={title}>
      <form onSubmit={(e) => { e.preventDefault(); change.mutate({ params: { header: { 'If-Match': etag } }, body: { [setting.name]: value } }) }}>
        <Stack gap="sm" maw={640}>
          <TextInput label={title === setting.name ? 'Value' : setting.name} description={setting.help} placeholder={setting.default} value={value} onChange={(e) => setValue(e.currentTarget.value)} />
          <Failure what="It was not saved" error={change.error} reload={reload} />
          <Group>
            <Button type="submit" loading={change.isPending}>Save</Button>
            <span role="status">{change.isSuccess && value === setting.value && <Verdict kind="good">Saved</Verdict>}</span>
            {setting.changed_at && <Text size="xs" c="dimmed">Changed <When time={setting.changed_at} />{setting.changed_by && ` by ${setting.changed_by}`}</Text>}
          </Group>
        </Stack>
      </form>
    </Panel>
  )
}
