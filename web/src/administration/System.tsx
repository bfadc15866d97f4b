import { Anchor, Stack } from '@mantine/core'

import { api } from '../api/client'
import { useAdministrator, useSession } from '../shell/session'
import { Facts } from '../ui/Facts'
import { bytes, number } from '../ui/format'
import { Waiting } from '../ui/Loading'
import { Page } from '../ui/Page'
import { Panel } from '../ui/Panel'
import { Verdict } from '../ui/Verdict'
import { When } from '../ui/When'

const engines = { sqlite: 'SQLite', postgres: 'PostgreSQL' }

export function Component() {
  const session = useSession()
  const administrator = useAdministrator()
  const stats = api.useQuery('get', '/stats', undefined, { refetchInterval: 10_000 })
  return (
    <Page title="System" trail={[{ to: '/administration/system', label: 'Administration' }]}>
      <Stack gap="md" maw={760}>
        <Panel title="Program">
          <Facts items={[['Version', session.data?.version ?? ''], ['REST interface', <Anchor key="r" href="/api/v1/openapi.json" fz="inherit">described in OpenAPI</Anchor>]]} />
        </Panel>
        {administrator && <Health />}
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

/** How the server is, for those who run it. */
function Health() {
  const system = api.useQuery('get', '/system', undefined, { refetchInterval: 10_000 })
  const { alarms, database, storage, replica, started_at } = system.data ?? {}
  return (
    <Panel title="Health">
      {database && storage && alarms ? (
        <Facts items={[
          ['State', alarms.length === 0
            ? <Verdict key="v" kind="good">all is well</Verdict>
            : <Stack key="v" gap={4}>{alarms.map((line) => <Verdict key={line} kind="warn">{line}</Verdict>)}</Stack>],
          ['Database', `${engines[database.engine]}, ${bytes(database.bytes)}`],
          ['Free for blobs', storage.free_bytes === null ? 'not known on this system' : bytes(storage.free_bytes)],
          ['Running since', <When key="w" time={started_at} />], ['Process', <code key="p" className="break">{replica}</code>],
        ]} />
      ) : <Waiting query={system} what="The health of the server cannot be shown" />}
    </Panel>
  )
}
