import { Button, Progress, Stack, Text } from '@mantine/core'
import { useQueryClient } from '@tanstack/react-query'
import { useParams } from 'react-router'

import { api } from '../api/client'
import { useAdministrator } from '../shell/session'
import { Failure } from '../ui/Failure'
import { Facts } from '../ui/Facts'
import { exactly } from '../ui/format'
import { Waiting } from '../ui/Loading'
import { Page } from '../ui/Page'
import { Panel } from '../ui/Panel'
import { JobState } from './JobState'
import classes from './Job.module.css'

/** One run of a job, followed while it goes on. */
export function Component() {
  const { id = '' } = useParams()
  const queries = useQueryClient()
  const administrator = useAdministrator()
  const job = api.useQuery('get', '/jobs/{id}', { params: { path: { id: Number(id) } } }, {
    refetchInterval: (query) => (query.state.data && ['queued', 'running'].includes(query.state.data.state) ? 1500 : false),
  })
  const j = job.data
  const going = j !== undefined && (j.state === 'queued' || j.state === 'running')
  const log = api.useQuery('get', '/jobs/{id}/log', { params: { path: { id: Number(id) }, query: { page_size: 1000 } } }, { refetchInterval: going ? 1500 : false })
  const cancel = api.useMutation('post', '/jobs/{id}/cancel', { onSuccess: () => queries.invalidateQueries({ queryKey: ['get', '/jobs/{id}'] }) })
  return (
    <Page title={j ? `${j.kind} ${j.id}` : `Job ${id}`} trail={[{ to: '/administration/system', label: 'Administration' }, { to: '/administration/scheduled-jobs', label: 'Scheduled Jobs' }]}
      actions={going && administrator ? <Button variant="default" loading={cancel.isPending || j.cancelled_at !== null} onClick={() => cancel.mutate({ params: { path: { id: j.id } } })}>Cancel</Button> : undefined}
    >
      <Failure what="It was not cancelled" error={cancel.error} />
      {j ? (
        <Stack gap="md" maw={960}>
          <Panel title="State">
            <div role="status"><JobState job={j} /></div>
            {j.total > 0 && <Progress my="xs" value={(100 * j.completed) / j.total} aria-label="Progress" />}
            {j.error && <Text size="sm" mt="xs" className="break">{j.state === 'failed' ? 'It failed: ' : 'The try before failed: '}{j.error}</Text>}
            <Facts items={[
              ['About', j.key], ['Progress', j.progress], ['Tries', `${j.attempts} of ${j.max_attempts}`], ['Queued', exactly(j.created_at)], ['Due', exactly(j.run_at)],
              ['Started', j.started_at ? exactly(j.started_at) : 'not yet'], ['Ended', j.finished_at ? exactly(j.finished_at) : 'not yet'],
            ]} />
          </Panel>
          <Panel title="Log">
            {log.data ? log.data.items.length === 0 ? <Text size="sm" c="dimmed">It has said nothing{going ? ' yet' : ''}.</Text> : (
              <ol className={classes.log}>
                {log.data.items.map((l) => <li key={l.position} data-level={l.level}><time dateTime={l.at}>{l.at.slice(11, 19)}</time> {l.level !== 'info' && <b>{l.level}: </b>}{l.text}</li>)}
              </ol>
            ) : <Waiting query={log} what="The log cannot be shown" />}
          </Panel>
        </Stack>
      ) : <Waiting query={job} what="The job cannot be shown" />}
    </Page>
  )
}
