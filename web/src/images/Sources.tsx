import { Button, Stack, Text } from '@mantine/core'
import { keepPreviousData } from '@tanstack/react-query'

import { api, type Schemas } from '../api/client'
import { useAdministrator } from '../shell/session'
import { DataTable } from '../ui/DataTable'
import { Empty } from '../ui/Empty'
import { Failure } from '../ui/Failure'
import { Waiting } from '../ui/Loading'
import { Pager } from '../ui/Pager'
import { Panel } from '../ui/Panel'
import { useRefresh } from '../ui/refresh'
import type { Column } from '../ui/rows'
import { Severity } from '../ui/Severity'
import { useUrlState } from '../ui/urlState'
import { Verdict } from '../ui/Verdict'
import { When } from '../ui/When'
import { VulnerabilityLink } from '../vulnerabilities/VulnerabilityLink'
import { useImage } from './context'

type Asked = Schemas['ImageSource']
type Disagreement = Schemas['Disagreement']

const kinds = { queued: 'open', running: 'busy', answered: 'good', waiting: 'warn', quarantined: 'bad' } as const

const asked: Column<Asked>[] = [
  { key: 'name', title: 'Source', lead: true, render: (s) => <b>{s.name}</b> },
  { key: 'state', title: 'State', brief: true, render: (s) => <Verdict kind={kinds[s.state]}>{s.state}</Verdict> },
  { key: 'answered', title: 'Answered', brief: true, render: (s) => <When time={s.answered_at} none="not yet" /> },
  { key: 'next', title: 'Next try', brief: true, render: (s) => <When time={s.next_try_at} none="" /> },
  { key: 'error', title: 'Why', render: (s) => <span className="break">{s.error}</span> },
]

const points: Record<Disagreement['on'][number], string> = { reported: 'whether it is there', severity: 'how grave it is', fixed_version: 'what mends it' }

const disagreements: Column<Disagreement>[] = [
  { key: 'v', title: 'Vulnerability', lead: true, render: (d) => <VulnerabilityLink name={d.vulnerability} /> },
  { key: 'severity', title: 'Severity', brief: true, render: (d) => <Severity value={d.severity} /> },
  { key: 'package', title: 'Package', brief: true, render: (d) => <><b>{d.package.name}</b> <span className="mono">{d.package.version}</span></> },
  { key: 'on', title: 'They differ on', render: (d) => d.on.map((o) => points[o]).join(', ') },
  { key: 'words', title: 'What each says', render: (d) => (
    <Stack gap={2}>
      {d.sources.map((w) => <span key={w.source}><b>{w.source}</b> {w.reports ? [w.severity, w.fixed_version ? `fixed in ${w.fixed_version}` : 'no fix', w.vulnerability !== d.vulnerability && w.vulnerability ? `calls it ${w.vulnerability}` : ''].filter(Boolean).join(', ') : 'does not report it'}</span>)}
    </Stack>
  ) },
]

/** Which vulnerability sources were asked of an image, and where they disagree. */
export function Component() {
  const { image } = useImage()
  const administrator = useAdministrator()
  const refresh = useRefresh()
  const url = useUrlState()
  const size = Number(url.get('size')) || 50
  const path = { digest: image.digest }
  const list = api.useQuery('get', '/images/{digest}/disagreements', { params: { path, query: { page_size: size, page_token: url.get('token') || undefined } } }, { placeholderData: keepPreviousData })
  const ask = api.useMutation('post', '/images/{digest}/scan', { onSuccess: refresh })
  const sources = image.sources ?? []
  const external = sources.some((s) => s.name !== 'built-in')
  return (
    <Stack gap="md">
      <Panel title="Who was asked" actions={administrator && external ? <Button size="xs" variant="default" loading={ask.isPending} onClick={() => ask.mutate({ params: { path } })}>Ask them again</Button> : undefined}>
        <Failure what="They were not asked" error={ask.error} />
        <DataTable caption="Vulnerability sources of the image" columns={asked} rows={sources} rowKey={(s) => s.name} empty={<Empty title="No vulnerability source">The registries that hold the image have none: attach one under Manage Registry.</Empty>} />
      </Panel>
      <Panel title="Where they disagree">
        {list.data ? (
          <>
            <DataTable caption="What vulnerability sources disagree on, the gravest first" columns={disagreements} rows={list.data.items} rowKey={(d) => `${d.vulnerability} ${d.package.type} ${d.package.name} ${d.package.version} ${d.package.architecture}`}
              empty={<Text size="sm" c="dimmed">{sources.filter((s) => s.answered_at).length > 1 ? 'They say the same of everything.' : 'Only one has answered: there is nothing to compare. Attach another source to the registry to have a second opinion.'}</Text>} />
            <Pager size={size} onSize={(n) => url.set({ size: n === 50 ? '' : String(n) })} previousLabel="First page"
              onPrevious={url.get('token') ? () => url.set({ token: '' }, { push: true }) : undefined}
              onNext={list.data.next_page_token ? () => url.set({ token: list.data.next_page_token }, { push: true }) : undefined} />
          </>
        ) : <Waiting query={list} what="What they disagree on cannot be shown" />}
      </Panel>
    </Stack>
  )
}
