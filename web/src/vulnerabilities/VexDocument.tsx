import { Anchor, Button, List, Stack, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { keepPreviousData } from '@tanstack/react-query'
import { Link, useNavigate, useParams } from 'react-router'

import { api, type Schemas } from '../api/client'
import { imagePath } from '../registries/reference'
import { useAdministrator } from '../shell/session'
import { Copy } from '../ui/Command'
import { Confirm } from '../ui/Confirm'
import { DataTable } from '../ui/DataTable'
import { Empty } from '../ui/Empty'
import { Facts } from '../ui/Facts'
import { exactly, number, shortDigest } from '../ui/format'
import { Waiting } from '../ui/Loading'
import { Page } from '../ui/Page'
import { Pager } from '../ui/Pager'
import { Panel } from '../ui/Panel'
import { useRefresh } from '../ui/refresh'
import type { Column } from '../ui/rows'
import { useUrlState } from '../ui/urlState'
import { Verdict } from '../ui/Verdict'
import { VulnerabilityLink } from './VulnerabilityLink'

type Statement = Schemas['VEXStatement']

const outcomes: Record<Statement['state'], { kind: 'good' | 'warn' | 'open'; text: string }> = {
  applied: { kind: 'good', text: 'assesses it' }, partial: { kind: 'warn', text: 'assesses a part' }, noted: { kind: 'open', text: 'is noted' }, overtaken: { kind: 'open', text: 'a newer one counts' },
  overruled: { kind: 'warn', text: 'a person decided otherwise' }, ignored: { kind: 'open', text: 'is not followed' }, waiting: { kind: 'open', text: 'waits' }, idle: { kind: 'open', text: 'concerns nothing here' },
}

const columns: Column<Statement>[] = [
  { key: 'v', title: 'Vulnerability', lead: true, render: (s) => <><VulnerabilityLink name={s.vulnerability} />{s.products.length > 0 && <Text size="xs" c="dimmed" component="div" className="break" lineClamp={2}>{s.products.join(', ')}</Text>}</> },
  { key: 'status', title: 'Says', brief: true, render: (s) => s.status.replaceAll('_', ' ') },
  { key: 'why', title: 'Because', render: (s) => [s.justification?.replaceAll('_', ' '), s.impact, s.action].filter(Boolean).join('. ') },
  { key: 'state', title: 'What came of it', render: (s) => <><Verdict kind={outcomes[s.state].kind}>{outcomes[s.state].text}</Verdict>{s.reason && <Text size="xs" c="dimmed" component="div" className="break">{s.reason}</Text>}</> },
  { key: 'images', title: 'Images', numeric: true, render: (s) => number(s.image_count) },
]

/** One VEX document, and what came of each of its statements. */
export function Component() {
  const id = Number(useParams().id)
  const url = useUrlState()
  const navigate = useNavigate()
  const refresh = useRefresh()
  const administrator = useAdministrator()
  const [removing, dialog] = useDisclosure(false)
  const size = Number(url.get('size')) || 50
  const about = api.useQuery('get', '/vex-documents/{id}', { params: { path: { id }, query: { page_size: size, page_token: url.get('token') || undefined } } }, { placeholderData: keepPreviousData })
  const remove = api.useMutation('delete', '/vex-documents/{id}', { onSuccess: async () => {
    await navigate('/vex-documents')
    await refresh()
  } })
  const d = about.data
  const name = d ? d.identifier || shortDigest(d.digest) : `Document ${id}`
  return (
    <Page title={name} trail={[{ to: '/vex-documents', label: 'VEX Documents' }]} actions={administrator && d?.origin === 'upload' ? <Button variant="default" onClick={dialog.open}>Withdraw</Button> : undefined}>
      {d ? (
        <Stack gap="md">
          <Panel title="About">
            {d.error && <Verdict kind="bad">It cannot be read: {d.error}</Verdict>}
            <Facts items={[
              ['Author', d.author && `${d.author} (the signature is not verified)`],
              ['Version', d.version],
              ['Issued', d.issued_at ? exactly(d.issued_at) : ''],
              ['Image', d.image ? <Anchor key="i" component={Link} fz="inherit" className="mono" to={imagePath(d.image)}>{shortDigest(d.image)}</Anchor> : 'as its products say'],
              ['Came', `${d.origin === 'upload' ? 'uploaded' : `attached in ${d.repository}`} by ${d.brought_by}, ${exactly(d.created_at)}`],
              ['Digest', <span key="d" className="mono">{shortDigest(d.digest)} <Copy value={d.digest} label="Copy the digest" /></span>],
            ]} />
            {d.skipped.length > 0 && <><Text size="sm" fw={600} mt="sm">What could not be read</Text><List size="sm">{d.skipped.map((s) => <List.Item key={s}>{s}</List.Item>)}</List></>}
          </Panel>
          <DataTable caption="Statements" columns={columns} rows={d.statements} rowKey={(s) => `${s.vulnerability} ${s.status} ${s.products.join()}`} empty={<Empty title="It says nothing that can be read" />} />
          <Pager size={size} onSize={(n) => url.set({ size: n === 50 ? '' : String(n) })} previousLabel="First page"
            onPrevious={url.get('token') ? () => url.set({ token: '' }, { push: true }) : undefined}
            onNext={d.next_page_token ? () => url.set({ token: d.next_page_token }, { push: true }) : undefined} />
        </Stack>
      ) : <Waiting query={about} what="The VEX document cannot be shown" />}
      {removing && (
        <Confirm opened title={`Withdraw ${name}?`} action="Withdraw" busy={remove.isPending} error={remove.error} onClose={dialog.close} onConfirm={() => remove.mutate({ params: { path: { id } } })}>
          What it assesses is unassessed again, unless something else covers it.
        </Confirm>
      )}
    </Page>
  )
}
