import { Box, Button, Code, Paper, PasswordInput, Stack, Text, TextInput, Title } from '@mantine/core'
import { useEffect, useState } from 'react'
import { Navigate, useNavigate, useSearchParams } from 'react-router'

import { api } from '../api/client'
import { Failure } from '../ui/Failure'
import { Loading } from '../ui/Loading'
import { Mark } from './Mark'
import { safeNext, useForget, useSession } from './session'

export function Component() {
  const session = useSession()
  const forget = useForget()
  const navigate = useNavigate()
  const [params] = useSearchParams()
  const [name, setName] = useState('')
  const [password, setPassword] = useState('')
  const next = safeNext(params.get('next'))
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
