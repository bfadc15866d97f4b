import { Anchor, Button } from '@mantine/core'
import { useQueryClient } from '@tanstack/react-query'
import { Link, useNavigate } from 'react-router'

import { api, type Schemas } from '../api/client'
import { useAdministrator } from '../shell/session'
import { Empty } from '../ui/Empty'
import { Failure } from '../ui/Failure'
import { number } from '../ui/format'
import { Waiting } from '../ui/Loading'
import { LocalList } from '../ui/LocalList'
import { Page } from '../ui/Page'
import type { Column } from '../ui/rows'
import { Verdict } from '../ui/Verdict'
import { When } from '../ui/When'
import { feedHealth } from './health'

type Feed = Schemas['Feed']

export function Component() {
  const queries = useQueryClient()
  const navigate = useNavigate()
  const administrator = useAdministrator()
  const list = api.useQuery('get', '/feeds', undefined, { refetchInterval: 10_000 })
  const started = { onSuccess: async (job: Schemas['Job']) => {
    await queries.invalidateQueries({ queryKey: ['get', '/jobs'] })
    await navigate(`/administration/jobs/${job.id}`)
  } }
  const all = api.useMutation('post', '/feeds/update', started)
  const one = api.useMutation('post', '/feeds/{name}/update', started)
  const columns: Column<Feed>[] = [
    { key: 'name', title: 'Feed', lead: true, value: (f) => f.name, render: (f) => <Anchor component={Link} fz="inherit" fw={600} to={`/administration/feeds/${f.name}`}>{f.name}</Anchor> },
    { key: 'health', title: 'State', value: (f) => feedHealth(f).kind, render: (f) => <Verdict kind={feedHealth(f).kind}>{feedHealth(f).text}</Verdict> },
    { key: 'success', title: 'Confirmed', brief: true, value: (f) => Date.parse(f.last_success ?? '') || 0, render: (f) => <When time={f.last_success} /> },
    { key: 'change', title: 'Changed', brief: true, value: (f) => Date.parse(f.last_change ?? '') || 0, render: (f) => <When time={f.last_change} /> },
    { key: 'advisories', title: 'Advisories', numeric: true, value: (f) => f.advisories, render: (f) => number(f.advisories) },
    { key: 'packages', title: 'Packages', numeric: true, value: (f) => f.packages, render: (f) => number(f.packages) },
    { key: 'skipped', title: 'Unreadable', numeric: true, value: (f) => f.skipped, render: (f) => number(f.skipped) },
    { key: 'go', title: 'Actions', quiet: true, render: (f) => (administrator ? <Button size="compact-xs" variant="default" aria-label={`Update ${f.name}`} loading={one.isPending && one.variables.params.path.name === f.name} onClick={() => one.mutate({ params: { path: { name: f.name } } })}>Update</Button> : null) },
  ]
  return (
    <Page title="Feeds" trail={[{ to: '/administration/system', label: 'Administration' }]} lead="The publishers of advisories. What changes in one is matched against every stored image at once."
      actions={administrator ? <Button onClick={() => all.mutate({})} loading={all.isPending}>Update all</Button> : undefined}
    >
      <Failure what="The update was not started" error={all.error ?? one.error} />
      {list.data ? (
        <LocalList caption="Feeds" columns={columns} rows={list.data.items} rowKey={(f) => f.name} text={(f) => `${f.name} ${f.parts.map((p) => `${p.name} ${p.ecosystems.join(' ')}`).join(' ')}`}
          searchLabel="Search feeds and distributions" defaultSort="name" empty={<Empty title="All feeds are switched off">Without feeds nothing can be judged. They are chosen by the settings <code>--feeds</code> and <code>--feeds-off</code>.</Empty>} />
      ) : <Waiting query={list} what="The feeds cannot be shown" />}
    </Page>
  )
}
