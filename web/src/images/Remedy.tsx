import { Anchor, List, Stack, Text } from '@mantine/core'
import { Link } from 'react-router'

import { api, type Schemas } from '../api/client'
import { imagePath } from '../registries/reference'
import { DataTable } from '../ui/DataTable'
import { Empty } from '../ui/Empty'
import { Waiting } from '../ui/Loading'
import { Panel } from '../ui/Panel'
import { SeverityCounts } from '../ui/Severity'
import { total } from '../ui/severity'
import { When } from '../ui/When'
import { useImage } from './context'
import classes from './Remedy.module.css'

type Upgrade = Schemas['Upgrade']

export function Component() {
  const { image } = useImage()
  const remedy = api.useQuery('get', '/images/{digest}/remedy', { params: { path: { digest: image.digest } } })
  if (remedy.data === undefined) return <Waiting query={remedy} what="The remedy cannot be shown" />
  const { finding_counts: now, left_counts: left, upgrades, base } = remedy.data
  if (total(now) === 0) return <Empty title="Nothing to mend">The image has no findings.</Empty>
  return (
    <Stack gap="md">
      <div className={classes.before}>
        <div><Text size="xs" c="dimmed">Now</Text><SeverityCounts counts={now} /></div>
        <Text aria-hidden c="dimmed">→</Text>
        <div><Text size="xs" c="dimmed">After all upgrades below</Text><SeverityCounts counts={left} none="no findings" /></div>
      </div>
      <Base base={base} />
      <Panel title="Upgrades">
        <DataTable
          caption="Upgrades, the one that clears the most severe findings first" rows={upgrades} rowKey={(u: Upgrade) => `${u.type} ${u.name} ${u.to}`}
          empty={<Empty title="No fix is published yet">For what is left nobody has published a version that mends it. Assess it, with an expiry, so that it comes back.</Empty>}
          columns={[
            { key: 'name', title: 'Package', lead: true, render: (u) => <><b>{u.name}</b>{u.packages.length > 0 && u.packages.join() !== u.name && <Text size="xs" c="dimmed" component="div">{u.packages.join(', ')}</Text>}</> },
            { key: 'from', title: 'From', brief: true, render: (u) => <span className="mono">{u.from.join(', ')}</span> },
            { key: 'to', title: 'To', brief: true, render: (u) => <b className="mono">{u.to}</b> },
            { key: 'in', title: 'In', brief: true, render: (u) => ({ base: 'base image', own: 'own layers', both: 'both' })[u.in] },
            { key: 'clears', title: 'Clears', render: (u) => <><SeverityCounts counts={u.cleared_counts} /><Names names={u.cleared} /></> },
            { key: 'leaves', title: 'Leaves', render: (u) => (u.left.length + u.gained.length === 0 ? '' : <Names names={[...u.left, ...u.gained.map((g) => `${g} (new)`)]} />) },
          ]}
        />
      </Panel>
    </Stack>
  )
}

function Names({ names }: { names: string[] }) {
  const shown = names.slice(0, 4)
  return (
    <Text size="xs" c="dimmed" component="div" mt={3}>
      {shown.map((n, i) => <span key={n}>{i > 0 && ', '}<Link to={`/vulnerabilities/${n.split(' ')[0]}`} className={classes.quiet}>{n}</Link></span>)}
      {names.length > shown.length && ` and ${names.length - shown.length} more`}
    </Text>
  )
}

function Base({ base }: { base: Schemas['Base'] }) {
  if (base.known === 'no') return null
  return (
    <Panel title="Base image">
      <Text size="sm">
        {base.layer_count === 1 ? 'The first layer is that of ' : `The first ${base.layer_count} layers are those of `}{base.known === 'stored' && base.digest ? <Anchor component={Link} fz="inherit" to={imagePath(base.digest)}>{base.places[0] ? `${base.places[0].registry}/${base.places[0].repository}${base.places[0].tags[0] ? `:${base.places[0].tags[0]}` : ''}` : 'an image that is stored here'}</Anchor> : 'its base image, as its history tells'}, with these findings: <SeverityCounts counts={base.finding_counts} />
      </Text>
      {base.newer_tags.length > 0 && (
        <>
          <Text size="sm" mt="sm" mb={4}>Newer ones beside it:</Text>
          <List size="sm" spacing={6}>
            {base.newer_tags.map((t) => (
              <List.Item key={`${t.registry}/${t.repository}:${t.tag}`}>
                <Anchor component={Link} fz="inherit" to={imagePath(t.digest, `${t.registry}/${t.repository}:${t.tag}`)}>{t.registry}/{t.repository}:{t.tag}</Anchor>, pushed <When time={t.pushed_at} />: clears <SeverityCounts counts={t.cleared_counts} none="nothing" />, adds <SeverityCounts counts={t.gained_counts} none="nothing" />
              </List.Item>
            ))}
          </List>
        </>
      )}
    </Panel>
  )
}
