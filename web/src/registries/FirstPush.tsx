import { Anchor, Button, Group, Stack, Tabs, Text } from '@mantine/core'
import { useState } from 'react'
import { Link } from 'react-router'

import { api } from '../api/client'
import { useSession } from '../shell/session'
import { Command } from '../ui/Command'
import { plural } from '../ui/format'
import { Page } from '../ui/Page'
import { Panel } from '../ui/Panel'
import { SeverityCounts } from '../ui/Severity'
import { total } from '../ui/severity'
import { Verdict } from '../ui/Verdict'
import { commands, imagePath } from './reference'

/** Shows how to push, and waits for the image to arrive. */
export function Component() {
  const user = useSession().data?.user?.name ?? 'admin'
  const host = window.location.host
  const [began] = useState(() => Date.now())
  return (
    <Page title="Push your first image" lead="Images are named HOST/REGISTRY/REPOSITORY:TAG. The registry main is there already.">
      <Stack gap="md">
        <Panel title="1. Push from a terminal">
          <Tabs defaultValue="docker">
            <Tabs.List mb="sm">
              {Object.keys(commands(host, user)).map((tool) => <Tabs.Tab key={tool} value={tool}>{tool}</Tabs.Tab>)}
            </Tabs.List>
            {Object.entries(commands(host, user)).map(([tool, text]) => (
              <Tabs.Panel key={tool} value={tool}>
                <Command>{text}</Command>
              </Tabs.Panel>
            ))}
          </Tabs>
          <Text size="sm" c="dimmed" mt="xs">
            It asks for your password. Programs sign in as <code>api</code> with an <Anchor component={Link} to="/administration/api-keys" fz="inherit">API key</Anchor>.
          </Text>
        </Panel>
        <Panel title="2. See it arrive">
          <Arrival since={began} />
        </Panel>
      </Stack>
    </Page>
  )
}

/** The image that was pushed last, once there is one. */
function Arrival({ since }: { since: number }) {
  const registries = api.useQuery('get', '/registries', {}, { refetchInterval: 3000 })
  const newest = api.useQuery('get', '/registries/{registry}/repositories', {
    params: { path: { registry: registries.data?.items[0]?.name ?? 'main' }, query: { page_size: 1000 } },
  }, { enabled: registries.data !== undefined, refetchInterval: 1500 })
  const repository = (newest.data?.items ?? []).filter((r) => r.updated_at !== null)
    .toSorted((a, b) => Date.parse(b.updated_at ?? '') - Date.parse(a.updated_at ?? ''))[0]
  const tags = api.useQuery('get', '/registries/{registry}/repositories/{repository}/tags', {
    params: { path: { registry: repository?.registry ?? '', repository: repository?.name ?? '' }, query: { page_size: 1000 } },
  }, { enabled: repository !== undefined, refetchInterval: 1500 })
  const tag = tags.data?.items.toSorted((a, b) => Date.parse(b.updated_at) - Date.parse(a.updated_at))[0]
  const image = api.useQuery('get', '/images/{digest}', { params: { path: { digest: tag?.digest ?? '' } } }, {
    enabled: tag !== undefined,
    refetchInterval: (query) => (query.state.data?.analysis === 'pending' ? 1000 : 5000),
  })
  const waits = (
    <div role="status">
      <Verdict kind="busy">Waiting for an image…</Verdict>
      <Text size="sm" c="dimmed" mt={4}>This page notices by itself. Nothing arrives? The terminal says why; signing in is the usual reason.</Text>
    </div>
  )
  if (repository === undefined || tag === undefined || image.data === undefined) return waits
  const name = `${repository.registry}/${repository.name}:${tag.name}`
  const found = total(image.data.finding_counts)
  const fresh = Date.parse(tag.updated_at) >= since - 5000
  return (
    <Stack gap="xs" role="status">
      {image.data.analysis === 'pending' ? <Verdict kind="busy"><b>{name}</b> has arrived and is being analysed…</Verdict>
        : image.data.analysis === 'failed' ? <Verdict kind="warn"><b>{name}</b> has arrived, but cannot be analysed: {image.data.error}</Verdict>
          : <Verdict kind="good"><b>{name}</b> {fresh ? 'has arrived' : 'is here'}: {plural(image.data.package_count, 'package')}, {plural(found, 'finding')}.</Verdict>}
      {found > 0 && <SeverityCounts counts={image.data.finding_counts} />}
      <Group>
        <Button component={Link} to={imagePath(tag.digest, `${repository.registry}/${repository.name}:${tag.name}`, 'vulnerabilities')}>Look at its findings</Button>
        <Button component={Link} to="/" variant="default">To the dashboard</Button>
      </Group>
    </Stack>
  )
}
