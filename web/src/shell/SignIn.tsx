import { Alert, Box, Button, Code, Paper, PasswordInput, Stack, Text, TextInput, Title } from '@mantine/core'
import { useEffect, useState } from 'react'
import { Navigate, useNavigate, useSearchParams } from 'react-router'

import { api } from '../api/client'
import { Failure } from '../ui/Failure'
import { Loading } from '../ui/Loading'
import { Mark } from './Mark'
import { safeNext, useForget, useSession } from './session'

/** Why the provider of sign-ins led back here, by the word in the address: see internal/auth/oidc. */
const reasons: Record<string, string> = {
  unavailable: 'The provider does not answer as it should. Try again later, or sign in with a password.',
  refused: 'The provider did not let you in.',
  expired: 'It took too long, or began in another browser. Try again.',
  name: 'Your name there cannot be a name here. Ask an administrator.',
  taken: 'Somebody else has your name here already. Ask an administrator.',
}

export function Component() {
  const session = useSession()
  const forget = useForget()
  const navigate = useNavigate()
  const [params] = useSearchParams()
  const [name, setName] = useState('')
  const [password, setPassword] = useState('')
  const next = safeNext(params.get('next'))
  const failed = params.get('failed')
  const provider = session.data?.sign_in
  const signIn = api.useMutation('post', '/session', {
    meta: { signIn: true },
    onSuccess: async () => {
      await forget()
      await navigate(next, { replace: true })
    },
  })
  useEffect(() => { document.title = 'Sign in · Pratique' }, [])
  if (session.isPending) return <Box p="xl"><Loading lines={3} /></Box>
  if (session.data?.user) return <Navigate to={next} replace />
  return (
    <Box component="main" mih="100dvh" style={{ display: 'grid', placeItems: 'center' }} p="md">
      <Stack w="100%" maw={360} gap="md">
        <Mark size={36} />
        <Paper p="lg" style={{ background: 'var(--panel)' }}>
          <form onSubmit={(e) => { e.preventDefault(); signIn.mutate({ body: { name, password } }) }}>
            <Stack gap="sm">
              <Title order={1}>Sign in</Title>
              {session.error !== null && <Failure what="The server does not answer as it should" error={session.error} retry={() => void session.refetch()} />}
              {failed !== null && <Alert color="red" title="You are not signed in" role="alert">{reasons[failed] ?? 'It failed. The log of the server says why.'}</Alert>}
              {provider && <Button component="a" variant="default" href={`${provider.path}?to=${encodeURIComponent(next)}`}>Sign in with {provider.title}</Button>}
              <TextInput label="Name" name="username" autoComplete="username" required value={name} onChange={(e) => setName(e.currentTarget.value)} autoCapitalize="none" spellCheck={false} data-autofocus />
              <PasswordInput label="Password" name="password" autoComplete="current-password" required value={password} onChange={(e) => setPassword(e.currentTarget.value)} />
              <Failure what="You are not signed in" error={signIn.error} />
              <Button type="submit" loading={signIn.isPending}>Sign in</Button>
            </Stack>
          </form>
        </Paper>
        <Text size="xs" c="dimmed">
          First time here? The first start made the user <Code fz="xs">admin</Code>, and printed a password, unless
          <Code fz="xs" ml={4}>PRATIQUE_ADMIN_PASSWORD</Code> gave one.
        </Text>
      </Stack>
    </Box>
  )
}
