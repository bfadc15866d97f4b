import { Text } from '@mantine/core'

import { api, type Schemas } from '../api/client'
import { Facts } from '../ui/Facts'
import { bytes, number, plural } from '../ui/format'
import { Panel } from '../ui/Panel'
import type { Column } from '../ui/rows'
import { When } from '../ui/When'

type Pulled = Pick<Schemas['Tag'], 'pulls' | 'last_pull_at'>

/** No event tells of pulls: they are asked for whenever they are shown. */
const anew = { staleTime: 0 }

/** How often what a list shows was pulled, and when last. */
export function pullColumns<Row extends Pulled>(): Column<Row>[] {
  return [
    { key: 'pulls', title: 'Pulls', numeric: true, value: (r) => r.pulls, render: (r) => number(r.pulls) },
    { key: 'pulled', title: 'Last pull', brief: true, value: (r) => (r.last_pull_at === null ? 0 : Date.parse(r.last_pull_at)), render: (r) => <When time={r.last_pull_at} /> },
  ]
}

/** What a registry holds and how it is pulled from, in a line. */
export function RegistryUsage({ registry }: { registry: string }) {
  const usage = api.useQuery('get', '/registries/{registry}/usage', { params: { path: { registry } } }, anew)
  return <Line usage={usage.data} elsewhere="other registries" />
}

/** The same of a repository. */
export function RepositoryUsage({ registry, repository }: { registry: string; repository: string }) {
  const usage = api.useQuery('get', '/registries/{registry}/repositories/{repository}/usage', { params: { path: { registry, repository } } }, anew)
  return <Line usage={usage.data} elsewhere="other repositories" />
}

function Line({ usage, elsewhere }: { usage: Schemas['RepositoryUsage'] | undefined; elsewhere: string }) {
  if (usage === undefined || (usage.bytes === 0 && usage.pulls === 0)) return null
  return (
    <Text size="sm" c="dimmed" mb="sm">
      {bytes(usage.bytes)} stored: {bytes(usage.own_bytes)} its own, {bytes(usage.shared_bytes)} shared with {elsewhere}.{' '}
      {usage.last_pull_at === null ? 'Never pulled.' : <>{plural(usage.pulls, 'pull')}, the last <When time={usage.last_pull_at} />.</>}
    </Text>
  )
}

/** What an image holds beside others, and how it is pulled from each place. */
export function ImageUsage({ digest }: { digest: string }) {
  const usage = api.useQuery('get', '/images/{digest}/usage', { params: { path: { digest } } }, anew)
  if (usage.data === undefined) return null
  const { bytes: all, own_bytes, shared_bytes, pulls, last_pull_at, places } = usage.data
  return (
    <Panel title="Usage">
      <Facts items={[
        ['Stored', bytes(all)],
        ['Shared', `${bytes(shared_bytes)} with other images`],
        ['Its own', bytes(own_bytes)],
        ['Pulls', number(pulls)],
        ['Last pull', <When key="l" time={last_pull_at} />],
        ...(places.length < 2 ? [] : places.map((p): [string, string] => [`from ${p.registry}/${p.repository}`, plural(p.pulls, 'pull')])),
      ]} />
    </Panel>
  )
}
