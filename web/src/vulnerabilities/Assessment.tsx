import { Anchor, Button, Stack, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { useQuery } from '@tanstack/react-query'
import { Link, useParams } from 'react-router'

import { api, client, type Schemas } from '../api/client'
import { imagePath } from '../registries/reference'
import { Confirm } from '../ui/Confirm'
import { Facts } from '../ui/Facts'
import { exactly } from '../ui/format'
import { Waiting } from '../ui/Loading'
import { Page } from '../ui/Page'
import { Panel } from '../ui/Panel'
import { useRefresh } from '../ui/refresh'
import { State } from '../ui/State'
import { Verdict } from '../ui/Verdict'
import { AssessmentHistory } from './AssessmentHistory'
import { scopeInWords } from './AssessmentList'
import { EditAssessment } from './EditAssessment'
import { meanings } from './scope'

/** One decision: what it is, and what became of it. */
export function Component() {
  const id = Number(useParams().id)
  const refresh = useRefresh()
  const [editing, edit] = useDisclosure(false)
  const [ending, end] = useDisclosure(false)
  const about = useQuery({
    queryKey: ['get', '/assessments/{id}', id],
    queryFn: async ({ signal }) => {
      const { data, response } = await client.GET('/assessments/{id}', { params: { path: { id } }, signal })
      return { assessment: data!, etag: response.headers.get('ETag') ?? '' }
    },
  })
  const withdraw = api.useMutation('delete', '/assessments/{id}', { onSuccess: async () => {
    await refresh()
    end.close()
  } })
  const a = about.data?.assessment
  return (
    <Page title={a ? `${a.vulnerability} as ${a.type}` : `Assessment ${id}`} trail={[{ to: '/assessments', label: 'Assessments' }, ...(a ? [{ to: `/vulnerabilities/${encodeURIComponent(a.vulnerability)}?tab=assessments`, label: a.vulnerability }] : [])]}
      heading={a ? <>{a.vulnerability}: <State name={a.type} /></> : undefined}
      actions={a?.live ? <><Button variant="default" onClick={end.open}>Withdraw</Button><Button onClick={edit.open}>Edit</Button></> : undefined}
    >
      {a && about.data ? (
        <Stack gap="md">
          <Panel title="The assessment">
            {a.live ? <Verdict kind="good">It holds</Verdict> : <Verdict kind="open">It has ended: {a.ended_reason}{a.ended_by ? `, by ${a.ended_by}` : ''}{a.ended_note ? `, ${a.ended_note}` : ''}</Verdict>}
            <Facts items={[
              ['Vulnerability', <Anchor key="v" component={Link} fz="inherit" to={`/vulnerabilities/${encodeURIComponent(a.vulnerability)}`}>{a.vulnerability}</Anchor>],
              ['Assessed as', <State key="t" name={a.type} />],
              ['Where', <Where key="w" scope={a.scope} />],
              ['Comment', a.comment],
              ['Justification', a.justification?.replaceAll('_', ' ')],
              ['By', `${a.author}${a.automatic ? ', by its rule' : ''}, on ${exactly(a.created_at)}`],
              ['Until', a.expires_at ? exactly(a.expires_at) : 'without end'],
              ['Ended', a.ended_at ? exactly(a.ended_at) : ''],
            ]} />
          </Panel>
          <Panel title="History"><AssessmentHistory id={id} /></Panel>
          {editing && <EditAssessment assessment={a} etag={about.data.etag} onClose={edit.close} />}
          {ending && (
            <Confirm opened title={`Withdraw the assessment of ${a.vulnerability}?`} action="Withdraw" busy={withdraw.isPending} error={withdraw.error} onClose={end.close} onConfirm={() => withdraw.mutate({ params: { path: { id } } })}>
              <b>{a.type}</b> {a.scope.kind === 'everywhere' ? 'everywhere' : `for ${scopeInWords(a.scope)}`} ends now. Its findings are unassessed again, unless a wider assessment covers them. It stays in the history.
            </Confirm>
          )}
        </Stack>
      ) : <Waiting query={about} what="The assessment cannot be shown" />}
    </Page>
  )
}

function Where({ scope }: { scope: Schemas['Scope'] }) {
  return (
    <>
      {scope.kind === 'image' && scope.value ? <Anchor component={Link} fz="inherit" to={imagePath(scope.value)}>{scopeInWords(scope)}</Anchor> : scopeInWords(scope)}
      <Text size="xs" c="dimmed">{meanings[scope.kind]}</Text>
    </>
  )
}
