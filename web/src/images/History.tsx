import { Anchor, Stack, Text, Timeline } from '@mantine/core'
import { Link } from 'react-router'

import { api } from '../api/client'
import { imagePath, repositoryPath } from '../registries/reference'
import { Empty } from '../ui/Empty'
import { date, exactly, plural } from '../ui/format'
import { Waiting } from '../ui/Loading'
import { Panel } from '../ui/Panel'
import { SeverityCounts } from '../ui/Severity'
import { SeverityChart } from '../ui/SeverityChart'
import { useImage } from './context'
import { chartPoints } from './points'
import { named } from './PromoteDialog'

export function Component() {
  const { image } = useImage()
  const history = api.useQuery('get', '/images/{digest}/history', { params: { path: { digest: image.digest } } })
  const promotions = api.useQuery('get', '/promotions', { params: { query: { digest: image.digest, page_size: 100 } } })
  if (history.data === undefined) return <Waiting query={history} what="The history cannot be shown" />
  const { findings, pushes } = history.data
  return (
    <Stack gap="md">
      {findings.length > 0 && (
        <Panel title="Findings over time">
          <SeverityChart points={chartPoints(findings)} label="Findings of the image by severity over time" />
        </Panel>
      )}
      <Panel title="What came and went">
        {findings.length === 0 ? <Empty title="No finding ever">{image.analysis === 'pending' ? 'The image is being analysed.' : 'Nothing was found in this image so far.'}</Empty> : (
          <Timeline bulletSize={14} lineWidth={2} active={findings.length}>
            {findings.toReversed().slice(0, 60).map((f) => (
              <Timeline.Item key={f.day} title={<Text span size="sm" fw={600}>{date(f.day)}</Text>}>
                {f.came.length > 0 && <Text size="sm"><b>{plural(f.came.length, 'vulnerability', 'vulnerabilities')} came:</b> <Names names={f.came} /></Text>}
                {f.went.length > 0 && <Text size="sm"><b>{plural(f.went.length, 'vulnerability', 'vulnerabilities')} went:</b> <Names names={f.went} /></Text>}
                <Text size="sm" c="dimmed" component="div">then <SeverityCounts counts={f.finding_counts} none="no findings" /></Text>
              </Timeline.Item>
            ))}
          </Timeline>
        )}
      </Panel>
      <Panel title="Pushes">
        <Stack gap={6}>
          {pushes.map((p) => (
            <Text size="sm" key={`${p.registry}/${p.repository}`}>
              {exactly(p.pushed_at)}: to <Anchor component={Link} fz="inherit" to={repositoryPath(p.registry, p.repository)}>{p.registry}/{p.repository}</Anchor>{p.tags.length > 0 && ` as ${p.tags.join(', ')}`}{p.pushed_by && ` by ${p.pushed_by}`}
            </Text>
          ))}
        </Stack>
      </Panel>
      {promotions.data !== undefined && promotions.data.items.length > 0 && (
        <Panel title="Promotions">
          <Stack gap={6}>
            {promotions.data.items.map((p) => (
              <Text size="sm" key={p.id}>
                {exactly(p.at)}: from {named(p.from)} to <Anchor component={Link} fz="inherit" to={imagePath(p.digest, named(p.to))}>{named(p.to)}</Anchor> by {p.by}{p.comment && `: ${p.comment}`}
              </Text>
            ))}
          </Stack>
        </Panel>
      )}
    </Stack>
  )
}

function Names({ names }: { names: string[] }) {
  return (
    <>
      {names.slice(0, 12).map((n, i) => <span key={n}>{i > 0 && ', '}<Anchor component={Link} fz="inherit" to={`/vulnerabilities/${encodeURIComponent(n)}`}>{n}</Anchor></span>)}
      {names.length > 12 && ` and ${names.length - 12} more`}
    </>
  )
}
