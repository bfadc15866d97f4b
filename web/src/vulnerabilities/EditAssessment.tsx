import { Button, Group, Radio, Stack, Textarea, TextInput } from '@mantine/core'
import { useState } from 'react'

import { api, type Schemas } from '../api/client'
import { Dialog } from '../ui/Dialog'
import { Failure } from '../ui/Failure'
import { useRefresh } from '../ui/refresh'
import { expiryOf, isDate } from './expiry'

/** Changes the comment and the end of an assessment that holds. */
export function EditAssessment({ assessment, etag: now, onClose }: { assessment: Schemas['Assessment']; etag: string; onClose: () => void }) {
  const refresh = useRefresh()
  // What was seen when it was opened.
  const [etag] = useState(now)
  const [comment, setComment] = useState(assessment.comment)
  const [expiry, setExpiry] = useState<'default' | 'never' | 'date'>('default')
  const [until, setUntil] = useState('')
  const change = api.useMutation('patch', '/assessments/{id}', { onSuccess: async () => {
    await refresh()
    onClose()
  } })
  return (
    <Dialog opened onClose={onClose} title={`Edit the assessment of ${assessment.vulnerability}`}>
      <form onSubmit={(e) => {
        e.preventDefault()
        change.mutate({ params: { path: { id: assessment.id }, header: { 'If-Match': etag } }, body: { comment, ...expiryOf(expiry, until) } })
      }}>
        <Stack gap="md">
          <Textarea label="Comment" autosize minRows={2} value={comment} onChange={(e) => setComment(e.currentTarget.value)} data-autofocus />
          <Radio.Group label="Holds until" value={expiry} onChange={(v) => setExpiry(v as typeof expiry)}>
            <Group gap="lg" mt={6}>
              <Radio value="default" label="as it is" />
              <Radio value="date" label="a date" />
              <Radio value="never" label="without end" />
            </Group>
          </Radio.Group>
          {expiry === 'date' && <TextInput type="date" label="Last day" required value={until} onChange={(e) => setUntil(e.currentTarget.value)} maw={220} min={new Date().toISOString().slice(0, 10)} />}
          <Failure what="It was not changed" error={change.error} reload={() => void refresh().then(onClose)} />
          <Group justify="flex-end"><Button variant="default" onClick={onClose}>Cancel</Button><Button type="submit" disabled={expiry === 'date' && !isDate(until)} loading={change.isPending}>Save</Button></Group>
        </Stack>
      </form>
    </Dialog>
  )
}
