import { Anchor, Stack } from '@mantine/core'

import { api } from '../api/client'
import { useSession } from '../shell/session'
import { Facts } from '../ui/Facts'
import { bytes, number } from '../ui/format'
import { Waiting } from '../ui/Loading'
import { Page } from '../ui/Page'
import { Panel } from '../ui/Panel'

export function Component() {
  const session = useSession()
  const stats = api.useQuery('get', '/stats', undefined, { refetchInterval: 10_000 })
  return (
    <Page title="System" trail={[{ to: '/administration/system', label: 'Administration' }]}>
      <Stack gap="md" maw={760}>
        <Panel title="Program">
          <Facts items={[['Version', session.data?.version ?? ''], ['REST interface', <Anchor key="r" href="/api/v1/openapi.json" fz="inherit">described in OpenAPI</Anchor>]]} />
        </Panel>
        <Panel title="What is stored">
          {stats.data ? (
            <Facts items={[
              ['Registries', number(stats.data.registries)], ['Repositories', number(stats.data.repositories)], ['Tags', number(stats.data.tags)],
              ['Images', `${number(stats.data.images.done)} analysed, ${number(stats.data.images.pending)} waiting, ${number(stats.data.images.failed)} failed`],
              ['Blobs', bytes(stats.data.blob_bytes)], ['Distinct packages', number(stats.data.packages)], ['Live assessments', number(stats.data.assessments)],
            ]} />
          ) : <Waiting query={stats} what="What is stored cannot be counted" />}
        </Panel>
      </Stack>
    </Page>
  )
}
