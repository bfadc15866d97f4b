import { Anchor, Button, Stack, Switch, TextInput } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { IconPlus } from '@tabler/icons-react'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { Link, useNavigate } from 'react-router'

import { Dialog } from '../ui/Dialog'
import { api, client, readAll, type Schemas } from '../api/client'
import { useAdministrator } from '../shell/session'
import { Empty } from '../ui/Empty'
import { Failure } from '../ui/Failure'
import { Waiting } from '../ui/Loading'
import { LocalList } from '../ui/LocalList'
import { Page } from '../ui/Page'
import type { Column } from '../ui/rows'
import { When } from '../ui/When'
import { PolicyWords } from './PolicyWords'

type Registry = Schemas['Registry']

const columns: Column<Registry>[] = [
  { key: 'name', title: 'Registry', lead: true, value: (r) => r.name, render: (r) => <Anchor component={Link} to={`/registries/${r.name}`} fw={600} fz="inherit">{r.name}</Anchor> },
  { key: 'description', title: 'Description', value: (r) => r.description, render: (r) => r.description },
  { key: 'pull', title: 'Who may pull', brief: true, value: (r) => Number(r.anonymous_pull), render: (r) => (r.anonymous_pull ? 'anyone' : 'who signs in') },
  { key: 'policy', title: 'Policy', render: (r) => <PolicyWords policy={r.policy} /> },
  { key: 'created', title: 'Made', brief: true, value: (r) => Date.parse(r.created_at), render: (r) => <When time={r.created_at} /> },
]

export function Component() {
  const [opened, dialog] = useDisclosure(false)
  const administrator = useAdministrator()
  const list = useQuery({
    queryKey: ['get', '/registries', 'all'],
    queryFn: ({ signal }) => readAll(async (page_token) => (await client.GET('/registries', { params: { query: { page_size: 1000, page_token } }, signal })).data!),
  })
  return (
    <Page
      title="Registries" lead="A registry holds repositories of images, and says what may be pulled."
      actions={<>
        <Button component={Link} to="/start" variant="default">Push an image</Button>
        {administrator && <Button leftSection={<IconPlus size={15} aria-hidden />} onClick={dialog.open}>New registry</Button>}
      </>}
    >
      {list.data ? (
        <LocalList
          caption="Registries" columns={columns} rows={list.data.items} rowKey={(r) => r.name} text={(r) => `${r.name} ${r.description}`}
          searchLabel="Search registries" defaultSort="name"
          empty={<Empty title="No registries">{administrator ? 'Make one with New registry; images are then pushed to HOST/NAME/REPOSITORY:TAG.' : 'Ask an administrator to make one.'}</Empty>}
        />
      ) : <Waiting query={list} what="The registries cannot be shown" />}
      <Create opened={opened} onClose={dialog.close} />
    </Page>
  )
}

function Create({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const queries = useQueryClient()
  const navigate = useNavigate()
  const [name, setName] = useState('')
  const [description, setDescription] = useState('')
  const [open, setOpen] = useState(false)
  const create = api.useMutation('post', '/registries', {
    onSuccess: async (made) => {
      await queries.invalidateQueries({ queryKey: ['get', '/registries'] })
      onClose()
      await navigate(`/registries/${made.name}`)
    },
  })
  return (
    <Dialog opened={opened} onClose={onClose} title="New registry">
      <form onSubmit={(e) => { e.preventDefault(); create.mutate({ body: { name, description, anonymous_pull: open, attach_sbom: 'none' } }) }}>
        <Stack gap="sm">
          <TextInput label="Name" description="Lower-case letters and digits, separated by one of . _ -" required value={name} onChange={(e) => setName(e.currentTarget.value)} data-autofocus />
          <TextInput label="Description" value={description} onChange={(e) => setDescription(e.currentTarget.value)} />
          <Switch label="Anyone may pull, without signing in" checked={open} onChange={(e) => setOpen(e.currentTarget.checked)} />
          <Failure what="The registry was not made" error={create.error} />
          <Button type="submit" loading={create.isPending}>Make it</Button>
        </Stack>
      </form>
    </Dialog>
  )
}
