import { Anchor, Group, Stack, Text } from '@mantine/core'
import type { ReactNode } from 'react'
import { Link, Navigate } from 'react-router'

import { api, type Schemas } from '../api/client'
import { imagePath } from '../registries/reference'
import { Counting } from '../ui/Counting'
import { bytes, number, percent, plural, shortDigest } from '../ui/format'
import { Waiting } from '../ui/Loading'
import { Page } from '../ui/Page'
import { Panel } from '../ui/Panel'
import { Severity, SeverityBar, SeverityCounts } from '../ui/Severity'
import { severities, total } from '../ui/severity'
import { SeverityChart } from '../ui/SeverityChart'
import { State } from '../ui/State'
import { StepChart } from '../ui/StepChart'
import { Verdict } from '../ui/Verdict'
import { When } from '../ui/When'
import { feedHealth } from '../administration/health'
import { scopeInWords } from '../vulnerabilities/AssessmentList'
import type { Query } from '../vulnerabilities/filter'
import classes from './Dashboard.module.css'

const often = { refetchInterval: 30_000 }

export function Component() {
  const stats = api.useQuery('get', '/stats', undefined, often)
  const trend = api.useQuery('get', '/stats/trend', { params: { query: { days: 30 } } })
  if (stats.data === undefined) return <Page title="Dashboard"><Waiting query={stats} what="The dashboard cannot be shown" /></Page>
  const images = stats.data.images.done + stats.data.images.pending + stats.data.images.failed
  if (images === 0) return <Navigate to="/start" replace />
  const points = trend.data?.items ?? []
  const found = total(stats.data.vulnerabilities)
  return (
    <Page title="Dashboard">
      <Counting />
      <Stack gap="md">
        <div className={classes.tiles}>
          <Tile label="Vulnerabilities" to="/vulnerabilities" value={number(found)}><SeverityBar counts={stats.data.vulnerabilities} /></Tile>
          <Tile label="Critical and high" to="/vulnerabilities?severity=critical,high" value={number(stats.data.vulnerabilities.critical + stats.data.vulnerabilities.high)}>
            {plural(stats.data.vulnerabilities.critical, 'critical one', 'critical ones')}
          </Tile>
          <Tile label="Unassessed" to="/vulnerabilities?state=unassessed" value={points.length > 0 ? number(points.at(-1)?.unassessed ?? 0) : '…'}>{change(points.map((p) => p.unassessed))}</Tile>
          <Tile label="Images" to="/registries" value={number(images)}>
            {stats.data.images.failed > 0 ? `${stats.data.images.failed} could not be analysed` : stats.data.images.pending > 0 ? `${stats.data.images.pending} being analysed` : `${bytes(stats.data.blob_bytes)}, ${plural(stats.data.packages, 'package')}`}
          </Tile>
        </div>
        <div className={classes.two}>
          <Panel title="Vulnerabilities over 30 days">
            {points.length > 0 ? (
              <SeverityChart label="Vulnerabilities that affect stored images, by severity" points={points.map((p) => ({ at: p.at, ...pick(p.vulnerabilities) }))} />
            ) : <Waiting query={trend} what="The trend cannot be shown" />}
          </Panel>
          <Panel title="Unassessed over 30 days">
            {points.length > 0 ? (
              <StepChart
                label="Vulnerabilities that nobody has decided on, among all" points={points.map((p) => ({ at: p.at, unassessed: p.unassessed, all: total(p.vulnerabilities) }))}
                series={[{ name: 'all', color: 'var(--mantine-color-dimmed)', dashed: true }, { name: 'unassessed', color: 'var(--mantine-primary-color-filled)' }]}
              />
            ) : <Waiting query={trend} what="The trend cannot be shown" />}
          </Panel>
        </div>
        <div className={classes.three}>
          <Stack gap="md">
            <AtRisk />
            <Exploited />
          </Stack>
          <Stack gap="md">
            <Gravest />
            <Newest />
          </Stack>
          <Stack gap="md">
            <Expiring />
            <FeedPanel />
            <Running />
          </Stack>
        </div>
      </Stack>
    </Page>
  )
}

function pick(counts: Record<(typeof severities)[number], number>) {
  return Object.fromEntries(severities.map((s) => [s, counts[s]])) as Record<(typeof severities)[number], number>
}

function change(series: number[]): string {
  const [first, last] = [series[0], series.at(-1)]
  if (first === undefined || last === undefined) return ''
  if (first === last) return 'as 30 days ago'
  return last > first ? `${number(last - first)} more than 30 days ago` : `${number(first - last)} fewer than 30 days ago`
}

function Tile({ label, to, value, children }: { label: string; to: string; value: string; children?: ReactNode }) {
  return (
    <Link to={to} className={classes.tile}>
      <span className={classes.label}>{label}</span>
      <span className={classes.value}>{value}</span>
      <span className={classes.below}>{children}</span>
    </Link>
  )
}

function AtRisk() {
  const list = api.useQuery('get', '/stats/images-at-risk', { params: { query: { limit: 8 } } }, often)
  return (
    <Panel title="Images at risk">
      {list.data ? list.data.items.length === 0 ? <Verdict kind="good">No image has critical or high findings</Verdict> : (
        <ul className={classes.list}>
          {list.data.items.map((i) => {
            const place = i.places[0]
            const name = place ? `${place.registry}/${place.repository}${place.tags[0] ? `:${place.tags[0]}` : ''}` : ''
            return (
              <li key={i.digest}>
                <Anchor component={Link} to={imagePath(i.digest, name, 'vulnerabilities')} fz="sm" fw={500} className="break">{name || shortDigest(i.digest)}</Anchor>
                <SeverityCounts counts={i.finding_counts} />
              </li>
            )
          })}
        </ul>
      ) : <Waiting query={list} what="The images cannot be shown" />}
    </Panel>
  )
}

function Gravest() {
  return (
    <Some title="To be assessed first" to="/vulnerabilities?state=unassessed" query={{ page_size: 8, state: ['unassessed'] }} none={<Verdict kind="good">Everything is assessed</Verdict>}
      beside={(v) => (v.epss === undefined ? plural(v.image_count, 'image') : `EPSS ${percent(v.epss)}`)} />
  )
}

function Exploited() {
  return (
    <Some title="Known to be exploited" to="/vulnerabilities?kev=true" query={{ page_size: 5, exploited: 'true' }} none={<Verdict kind="good">None affects a stored image</Verdict>}
      beside={(v) => plural(v.image_count, 'image')} />
  )
}

function Newest() {
  return (
    <Some title="Newest on stored images" to="/vulnerabilities?sort=-first_seen" query={{ page_size: 5, sort: 'first_seen', order: 'desc' }} none={<Text size="sm" c="dimmed">None yet.</Text>}
      beside={(v) => <When time={v.first_seen} />} />
  )
}

interface SomeProps {
  title: string
  to: string
  query: Query
  none: ReactNode
  beside: (v: Schemas['VulnerabilitySummary']) => ReactNode
}

/** The first of a list of vulnerabilities. */
function Some({ title, to, query, none, beside }: SomeProps) {
  const list = api.useQuery('get', '/vulnerabilities', { params: { query } }, often)
  return (
    <Panel title={title} actions={<Anchor component={Link} to={to} fz="sm" aria-label={`All: ${title}`}>all</Anchor>}>
      {list.data ? list.data.items.length === 0 ? none : (
        <ul className={classes.list}>
          {list.data.items.map((v) => (
            <li key={v.name}>
              <Anchor component={Link} to={`/vulnerabilities/${encodeURIComponent(v.name)}`} fz="sm" fw={500}>{v.name}</Anchor>
              <Group gap={8} wrap="nowrap"><Text span size="xs" c="dimmed">{beside(v)}</Text><Severity value={v.severity} /></Group>
            </li>
          ))}
        </ul>
      ) : <Waiting query={list} what="The vulnerabilities cannot be shown" />}
    </Panel>
  )
}

function Expiring() {
  const list = api.useQuery('get', '/assessments', { params: { query: { live: true, sort: 'expires_at', order: 'asc', page_size: 5 } } }, often)
  const soon = (list.data?.items ?? []).filter((a) => a.expires_at !== null)
  return (
    <Panel title="Expiring assessments" actions={<Anchor component={Link} to="/assessments" fz="sm">all</Anchor>}>
      {list.data ? soon.length === 0 ? <Text size="sm" c="dimmed">None has an end.</Text> : (
        <ul className={classes.list}>
          {soon.map((a) => (
            <li key={a.id}>
              <span><Anchor component={Link} to={`/vulnerabilities/${encodeURIComponent(a.vulnerability)}?tab=assessments`} fz="sm" fw={500}>{a.vulnerability}</Anchor><Text size="xs" c="dimmed" component="div">{scopeInWords(a.scope)}</Text></span>
              <Text span size="sm"><State name={a.type} />, <When time={a.expires_at} /></Text>
            </li>
          ))}
        </ul>
      ) : <Waiting query={list} what="The assessments cannot be shown" />}
    </Panel>
  )
}

function FeedPanel() {
  const list = api.useQuery('get', '/feeds', undefined, often)
  const bad = (list.data?.items ?? []).map((f) => ({ f, health: feedHealth(f) })).filter(({ health }) => health.kind !== 'good')
  return (
    <Panel title="Feeds" actions={<Anchor component={Link} to="/administration/feeds" fz="sm">all</Anchor>}>
      {list.data ? list.data.items.length === 0 ? <Verdict kind="warn">All feeds are switched off: nothing can be judged</Verdict>
        : bad.length === 0 ? <Verdict kind="good">{list.data.items.length === 1 ? 'The one feed is' : `All ${list.data.items.length} are`} current</Verdict> : (
          <ul className={classes.list}>
            {bad.slice(0, 6).map(({ f, health }) => (
              <li key={f.name}><Anchor component={Link} to={`/administration/feeds/${f.name}`} fz="sm" fw={500}>{f.name}</Anchor><Verdict kind={health.kind}>{health.text}</Verdict></li>
            ))}
          </ul>
        ) : <Waiting query={list} what="The feeds cannot be shown" />}
    </Panel>
  )
}

function Running() {
  const running = api.useQuery('get', '/jobs', { params: { query: { state: 'running', page_size: 5 } } }, { refetchInterval: 5000 })
  const failed = api.useQuery('get', '/jobs', { params: { query: { state: 'failed', page_size: 3 } } }, often)
  const jobs = [...(running.data?.items ?? []), ...(failed.data?.items ?? [])]
  return (
    <Panel title="Jobs" actions={<Anchor component={Link} to="/administration/scheduled-jobs" fz="sm">all</Anchor>}>
      {running.data ? jobs.length === 0 ? <Text size="sm" c="dimmed">Nothing is running, and nothing failed.</Text> : (
        <ul className={classes.list}>
          {jobs.map((j) => (
            <li key={j.id}>
              <Anchor component={Link} to={`/administration/jobs/${j.id}`} fz="sm" fw={500}>{j.kind}</Anchor>
              {j.state === 'running' ? <Verdict kind="busy">{j.progress || 'running'}</Verdict> : <Verdict kind="bad">failed</Verdict>}
            </li>
          ))}
        </ul>
      ) : <Waiting query={running} what="The jobs cannot be shown" />}
    </Panel>
  )
}
