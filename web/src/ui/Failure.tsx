import { Alert, Button, List, Text } from '@mantine/core'
import { IconAlertTriangle } from '@tabler/icons-react'

import { Problem } from '../api/client'

/** What to do about a problem, where that can be said. */
export function remedyOf(error: unknown): string {
  if (!(error instanceof Problem)) return 'Reload the page. If it stays, tell whoever runs this server.'
  switch (error.status) {
    case 0: return 'Check that the server runs and that you are on its network, then try again.'
    case 401: return 'Sign in again: the session has ended.'
    case 403: return 'Ask an administrator to do it, or to make you one.'
    case 404: return 'It may have been deleted or renamed. Go back to the list and look for it there.'
    case 412: return 'Someone else has changed it since you opened it, and nothing of yours was saved. Close this, look at what it is now, and change that.'
    case 409: return 'Someone or something else got there first. Reload, look at how it is now, and try again.'
    case 422: case 400: return 'Correct what is named above and try again.'
    case 429: return 'Wait a minute, then try again.'
  }
  return error.status >= 500 ? 'Try again. If it stays, give the reference above to whoever runs this server: its log has the details.' : 'Try again.'
}

interface Props {
  error: unknown
  what: string
  retry?: () => void
  /** Shows a form as things are now, after someone else changed them. */
  reload?: () => void
}

/** Says what happened and how to mend it. */
export function Failure({ error, what, retry, reload }: Props) {
  if (error === null || error === undefined) return null
  if (reload && error instanceof Problem && error.status === 412) {
    return (
      <Alert color="yellow" variant="outline" role="alert" icon={<IconAlertTriangle aria-hidden />} title="Someone else changed this" my="sm" styles={{ title: { color: 'var(--warn)' } }}>
        <Text size="sm">{what}: it would have undone their change. Reload to see what it is now; what you entered here is lost then.</Text>
        <Button size="xs" mt="sm" variant="default" onClick={reload}>Reload</Button>
      </Alert>
    )
  }
  const fields = error instanceof Problem ? error.fields : []
  return (
    <Alert color="red" variant="outline" role="alert" icon={<IconAlertTriangle aria-hidden />} title={what} my="sm" styles={{ title: { color: 'var(--bad)' } }}>
      <Text size="sm">{error instanceof Error ? sentence(error.message) : 'Something went wrong.'}</Text>
      {fields.length > 0 && (
        <List size="sm" my={4}>
          {fields.map((f) => <List.Item key={f.location + f.message}><code>{f.location.replace(/^body\./, '')}</code> {f.message}</List.Item>)}
        </List>
      )}
      <Text size="sm" c="dimmed" mt={4}>{remedyOf(error)}</Text>
      {retry && <Button size="xs" mt="sm" variant="default" onClick={retry}>Try again</Button>}
    </Alert>
  )
}

/** The server's details are parts of sentences. */
function sentence(text: string): string {
  const start = text.charAt(0).toUpperCase() + text.slice(1)
  return /[.!?]$/.test(start) ? start : `${start}.`
}
