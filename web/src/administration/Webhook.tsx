import { Button, Stack, Text } from '@mantine/core'
import { keepPreviousData, useQueryClient } from '@tanstack/react-query'
import { useParams } from 'react-router'

import { api, type Schemas } from '../api/client'
import { DataTable } from '../ui/DataTable'
import { Empty } from '../ui/Empty'
import { Failure } from '../ui/Failure'
import { Waiting } from '../ui/Loading'
import { Page } from '../ui/Page'
import { Pager } from '../ui/Pager'
import { Panel } from '../ui/Panel'
import type { Column } from '../ui/rows'
import { useUrlState } from '../ui/urlState'
import { Verdict } from '../ui/Verdict'
import { When } from '../ui/When'
import { told } from './Webhooks'

type Delivery = Schemas['WebhookDelivery']

/** One webhook, and what it was told. */
export function Component() {
  const { name = '' } = useParams()
  const url = useUrlState()
  const queries = useQueryClient()
  const size = Number(url.get('size')) || 50
  const path = { name }
  const webhook = api.useQuery('get', '/webhooks/{name}', { params: { path } })
  const list = api.useQuery('get', '/webhooks/{name}/deliveries', { params: { path, query: { page_size: size, page_token: url.get('token') || undefined } } }, { refetchInterval: 4000, placeholderData: keepPreviousData })
  const again = { onSuccess: () => queries.invalidateQueries({ queryKey: ['get', '/webhooks/{name}/deliveries'] }) }
  const test = api.useMutation('post', '/webhooks/{name}/test', again)
  const redeliver = api.useMutation('post', '/webhook-deliveries/{id}/redeliver', again)
  const columns: Column<Delivery>[] = [
    { key: 'title', title: 'Told', lead: true, render: (d) => <><b>{d.title}</b><Text size="xs" c="dimmed" component="div">{d.type}, <When time={d.created_at} /></Text></> },
    { key: 'state', title: 'State', render: (d) => <Verdict kind={d.state === 'delivered' ? 'good' : d.state === 'failed' ? 'bad' : 'busy'}>{d.state}</Verdict> },
    { key: 'tries', title: 'Tries', numeric: true, render: (d) => d.attempts },
    { key: 'answer', title: 'Answer', render: (d) => <span className="break">{[d.status === 0 ? '' : String(d.status), d.error].filter(Boolean).join(': ')}</span> },
    { key: 'event', title: 'Content', render: (d) => <details><summary>show</summary><code className="break">{JSON.stringify(d.event)}</code></details> },
    { key: 'go', title: 'Actions', quiet: true, render: (d) => <Button size="compact-xs" variant="default" aria-label={`Tell again: ${d.title}`} onClick={() => redeliver.mutate({ params: { path: { id: d.id } } })}>Tell again</Button> },
  ]
  return (
    <Page title={name} trail={[{ to: '/administration/webhooks', label: 'Webhooks' }]} lead={webhook.data && `Told of ${told(webhook.data)}.`}
      actions={<Button loading={test.isPending} onClick={() => test.mutate({ params: { path } })}>Send a test</Button>}
    >
      <Failure what="No test was sent" error={test.error} />
      <Failure what="It was not told again" error={redeliver.error} />
      <Stack gap="md">
        <Panel title="What it was told">
          {list.data ? (
            <>
              <DataTable caption="Deliveries, the newest first" columns={columns} rows={list.data.items} rowKey={(d) => String(d.id)} empty={<Empty title="Nothing yet">Send a test to see whether it can be told.</Empty>} />
              <Pager size={size} onSize={(n) => url.set({ size: n === 50 ? '' : String(n) })} previousLabel="Newest"
                onPrevious={url.get('token') ? () => url.set({ token: '' }, { push: true }) : undefined}
                onNext={list.data.next_page_token ? () => url.set({ token: list.data.next_page_token }, { push: true }) : undefined} />
            </>
          ) : <Waiting query={list} what="What it was told cannot be shown" />}
        </Panel>
      </Stack>
    </Page>
  )
}
