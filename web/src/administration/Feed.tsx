import { List, Stack, Text } from '@mantine/core'
import { useParams } from 'react-router'

import { api, type Schemas } from '../api/client'
import { Empty } from '../ui/Empty'
import { Facts } from '../ui/Facts'
import { number } from '../ui/format'
import { Waiting } from '../ui/Loading'
import { LocalList } from '../ui/LocalList'
import { Page } from '../ui/Page'
import { Panel } from '../ui/Panel'
import type { Column } from '../ui/rows'
import { Verdict } from '../ui/Verdict'
import { When } from '../ui/When'
import { feedHealth } from './health'

const columns: Column<Schemas['FeedPart']>[] = [
  { key: 'name', title: 'Document', lead: true, value: (p) => p.name, render: (p) => <><b>{p.name}</b><Text size="xs" c="dimmed" className="break" component="div">{p.url}</Text></> },
  { key: 'ecosystems', title: 'Speaks of', render: (p) => <Text size="sm" lineClamp={2} span>{p.ecosystems.join(', ')}</Text> },
  { key: 'checked', title: 'Confirmed', brief: true, value: (p) => Date.parse(p.checked_at ?? '') || 0, render: (p) => <When time={p.checked_at} /> },
  { key: 'changed', title: 'Changed', brief: true, value: (p) => Date.parse(p.changed_at ?? '') || 0, render: (p) => <When time={p.changed_at} /> },
  { key: 'advisories', title: 'Advisories', numeric: true, value: (p) => p.advisories, render: (p) => number(p.advisories) },
  { key: 'error', title: 'Trouble', value: (p) => p.error, render: (p) => (p.error ? <Verdict kind="bad">{p.error}</Verdict> : p.skipped > 0 ? `${number(p.skipped)} records unreadable` : '') },
]

export function Component() {
  const { name = '' } = useParams()
  const list = api.useQuery('get', '/feeds', undefined, { refetchInterval: 10_000 })
  const feed = list.data?.items.find((f) => f.name === name)
  const problems = feed?.parts.flatMap((p) => p.skipped_records) ?? []
  return (
    <Page title={name} trail={[{ to: '/administration/system', label: 'Administration' }, { to: '/administration/feeds', label: 'Feeds' }]}>
      {list.data === undefined ? <Waiting query={list} what="The feed cannot be shown" /> : feed === undefined ? <Empty title="There is no such feed">It may be switched off in the settings.</Empty> : (
        <Stack gap="md">
          <Panel title="State">
            <Verdict kind={feedHealth(feed).kind}>{feedHealth(feed).text}</Verdict>
            <Facts items={[
              ['Error', feed.error], ['Last try', <When key="t" time={feed.last_attempt} />], ['Confirmed', <When key="s" time={feed.last_success} />],
              ['Changed', <When key="c" time={feed.last_change} />], ['Next', <When key="n" time={feed.next_update} none="switched off" />], ['Advisories', number(feed.advisories)], ['Packages', number(feed.packages)],
            ]} />
          </Panel>
          <LocalList caption="Documents" columns={columns} rows={feed.parts} rowKey={(p) => p.name} text={(p) => `${p.name} ${p.url} ${p.ecosystems.join(' ')}`} searchLabel="Search documents" defaultSort="name"
            empty={<Empty title="Nothing was read yet">An update is queued at the first start. See <i>Scheduled Jobs</i>.</Empty>} />
          {problems.length > 0 && <Panel title="Records that could not be read"><List size="sm">{problems.slice(0, 40).map((p) => <List.Item key={p} className="break">{p}</List.Item>)}</List></Panel>}
        </Stack>
      )}
    </Page>
  )
}
