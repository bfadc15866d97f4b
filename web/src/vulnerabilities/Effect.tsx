import { Alert, Button, List, Text } from '@mantine/core'
import { keepPreviousData } from '@tanstack/react-query'
import { useState } from 'react'

import { api, type Schemas } from '../api/client'
import { number, plural, shortDigest } from '../ui/format'
import { Failure } from '../ui/Failure'

/** What assessments would change, as the server finds out. */
export function Effect({ request }: { request: Schemas['BulkAssessment'] }) {
  // Which request somebody wants all of, whatever it takes: another one begins with the first images again.
  const [wanted, setWanted] = useState('')
  const patient = wanted === JSON.stringify(request)
  const preview = api.useQuery('post', '/assessments/preview', { body: request, params: { query: { wait: patient ? 30 : 2 } } }, { placeholderData: keepPreviousData, retry: false })
  if (preview.error) return <Failure what="What it changes cannot be told" error={preview.error} />
  const p = preview.data
  const moved = (p?.samples ?? []).filter((s) => s.blocked_before !== s.blocked_after)
  return (
    <Alert variant="light" color={p && p.become_blocked > 0 ? 'red' : 'gray'} title="What it changes" p="sm" role="status">
      {p === undefined ? '…' : (
        <>
          <Text size="sm">{words(p)}</Text>
          {!p.complete && !patient && <Button size="compact-xs" variant="default" mt={4} onClick={() => setWanted(JSON.stringify(request))}>Look at all</Button>}
          {patient && preview.isFetching && <Text size="sm" c="dimmed">Looking at all of them…</Text>}
          {moved.length > 0 && (
            <List size="sm" mt={4}>
              {moved.slice(0, 5).map((s) => (
                <List.Item key={`${s.registry}/${s.repository}@${s.digest}`}>{s.registry}/{s.repository}@{shortDigest(s.digest)} {s.blocked_after ? 'can no longer be pulled' : 'can be pulled again'}</List.Item>
              ))}
              {moved.length > 5 && <List.Item>and more</List.Item>}
            </List>
          )}
        </>
      )}
    </Alert>
  )
}

type Preview = Pick<Schemas['PreviewResult'], 'findings' | 'images' | 'become_blocked' | 'become_pullable' | 'complete' | 'images_examined' | 'superseded'>

/** A preview in words. */
export function words(p: Preview): string {
  const parts = [p.findings === 0 ? 'It changes no finding of a stored image; it will count for those to come.'
    : `${plural(p.findings, 'finding')} of ${plural(p.images, 'stored image')} ${p.findings === 1 ? 'gets' : 'get'} another state.`]
  if (p.become_blocked > 0) parts.push(`${plural(p.become_blocked, 'image')} can no longer be pulled.`)
  if (p.become_pullable > 0) parts.push(`${plural(p.become_pullable, 'image')} can be pulled again.`)
  if (p.findings > 0 && p.become_blocked === 0 && p.become_pullable === 0) parts.push('No pull is refused or allowed by it.')
  if (p.superseded > 0) parts.push(`It takes the place of ${plural(p.superseded, 'assessment')}.`)
  if (!p.complete) parts.push(`These are the first ${number(p.images_examined)} images; there are more.`)
  return parts.join(' ')
}
