import { Stack, Text } from '@mantine/core'
import { useParams } from 'react-router'

import { api } from '../api/client'
import { Facts } from '../ui/Facts'
import { exactly } from '../ui/format'
import { Waiting } from '../ui/Loading'
import { Page } from '../ui/Page'
import { Panel } from '../ui/Panel'
import { JobState } from './JobState'

/** One run of a job, followed while it goes on. */
export function Component() {
  const { id = '' } = useParams()
  const job = api.useQuery('get', '/jobs/{id}', { params: { path: { id: Number(id) } } }, {
    refetchInterval: (query) => (query.state.data && ['queued', 'running'].includes(query.state.data.state) ? 700 : false),
  })
  const j = job.data
  return (
    <Page title={j ? j.kind : `Job ${id}`} trail={[{ to: '/administration/system', label: 'Administration' }, { to: '/administration/scheduled-jobs', label: 'Scheduled Jobs' }]}>
      {j ? (
        <Stack gap="md" maw={760}>
          <Panel title="State">
            <div role="status"><JobState job={j} /></div>
            {j.error && <Text size="sm" mt="xs" className="break">{j.state === 'failed' ? 'It failed: ' : 'The try before failed: '}{j.error}</Text>}
            <Facts items={[
              ['About', j.key], ['Progress', j.progress], ['Tries', `${j.attempts} of ${j.max_attempts}`], ['Queued', exactly(j.created_at)], ['Due', exactly(j.run_at)],
              ['Started', j.started_at ? exactly(j.started_at) : 'not yet'], ['Ended', j.finished_at ? exactly(j.finished_at) : 'not yet'],
            ]} />
          </Panel>
        </Stack>
      ) : <Waiting query={job} what="The job cannot be shown" />}
    </Page>
  )
}
