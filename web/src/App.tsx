import { MantineProvider } from '@mantine/core'
import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { useState } from 'react'
import { createBrowserRouter, RouterProvider } from 'react-router'

import { Problem } from './api/client'
import { routes } from './routes'
import { sessionKey } from './shell/session'
import { theme, variables } from './theme'

/** newQueryClient keeps answers for a while, and learns of it where a session ends. */
export function newQueryClient(): QueryClient {
  const ended = (error: unknown) => {
    if (error instanceof Problem && error.status === 401) void client.invalidateQueries({ queryKey: sessionKey })
  }
  const client = new QueryClient({
    queryCache: new QueryCache({ onError: (error, query) => query.queryKey[1] !== sessionKey[1] && ended(error) }),
    mutationCache: new MutationCache({ onError: (error, _v, _c, mutation) => mutation.meta?.signIn !== true && ended(error) }),
    defaultOptions: {
      queries: {
        staleTime: 10_000,
        // What the server refuses it refuses again.
        retry: (count, error) => count < 2 && !(error instanceof Problem && error.status >= 400 && error.status < 500),
      },
    },
  })
  return client
}

export function App({ nonce }: { nonce: string }) {
  const [client] = useState(newQueryClient)
  const [router] = useState(() => createBrowserRouter(routes))
  return (
    <MantineProvider theme={theme} cssVariablesResolver={variables} defaultColorScheme="auto" getStyleNonce={() => nonce}>
      <QueryClientProvider client={client}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </MantineProvider>
  )
}
