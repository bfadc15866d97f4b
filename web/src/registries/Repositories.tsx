import { Anchor, Button } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { Link, useParams } from 'react-router'

import { api, client, readAll, type Schemas } from '../api/client'
import { Empty } from '../ui/Empty'
import { Waiting } from '../ui/Loading'
import { LocalList } from '../ui/LocalList'
import { Page } from '../ui/Page'
import type { Column } from '../ui/rows'
import { When } from '../ui/When'
import { repositoryPath } from './reference'
import { pullColumns, RegistryUsage } from './Usage'

type Repository = Schemas['Repository']

const columns: Column<Repository>[] = [
  { key: 'name', title: 'Repository', lead: true, value: (r) => r.name, render: (r) => <Anchor component={Link} to={repositoryPath(r.registry, r.name)} fw={600} fz="inherit">{r.name}</Anchor> },
  { key: 'updated', title: 'Last change', value: (r) => (r.updated_at === null ? 0 : Date.parse(r.updated_at)), render: (r) => <When time={r.updated_at} none="nothing pushed" /> },
  ...pullColumns<Repository>(),
  { key: 'created', title: 'Made', value: (r) => Date.parse(r.created_at), render: (r) => <When time={r.created_at} /> },
]

export function Component() {
  const { registry = '' } = useParams()
  const about = api.useQuery('get', '/registries/{registry}', { params: { path: { registry } } })
  const list = useQuery({
    queryKey: ['get', '/registries/{registry}/repositories', registry, 'all'],
    queryFn: ({ signal }) => readAll(async (page_token) => (await client.GET('/registries/{registry}/repositories', {
      params: { path: { registry }, query: { page_size: 1000, page_token } }, signal,
    })).data!, 100),
  })
  return (
    <Page
      title={registry} trail={[{ to: '/registries', label: 'Registries' }]} lead={about.data?.description}
      actions={<Button component={Link} to={`/registries/${registry}/manage`} variant="default">Manage Registry</Button>}
    >
      <RegistryUsage registry={registry} />
      {list.data ? (
        <LocalList
          caption={`Repositories of ${registry}`} columns={columns} rows={list.data.items} rowKey={(r) => r.name} text={(r) => r.name}
          searchLabel="Search repositories" defaultSort="name"
          empty={<Empty title="No repositories yet">A repository comes to be with its first push. <Anchor component={Link} to="/start" fz="inherit">See how to push an image</Anchor>.</Empty>}
        />
      ) : <Waiting query={list} what={`The repositories of ${registry} cannot be shown`} />}
    </Page>
  )
}
