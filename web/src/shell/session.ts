import { useQueryClient } from '@tanstack/react-query'

import { api } from '../api/client'

/** Where the query of who is signed in keeps its answer. */
export const sessionKey = ['get', '/session'] as const

/** Who is signed in. */
export function useSession() {
  return api.useQuery('get', '/session', undefined, { staleTime: 60_000, refetchOnWindowFocus: true })
}

/** Whether administrators' actions are of use to who is signed in. */
export function useAdministrator(): boolean {
  return useSession().data?.user?.administrator ?? false
}

/** Forgets all answers, which were for who was signed in before. */
export function useForget(): () => Promise<void> {
  const client = useQueryClient()
  return async () => {
    client.removeQueries({ predicate: (query) => query.queryKey[1] !== sessionKey[1] })
    await client.invalidateQueries({ queryKey: sessionKey })
  }
}

/** A path of ours to go to after signing in, whatever the address says. */
export function safeNext(next: string | null): string {
  if (next === null || !next.startsWith('/') || next.startsWith('//') || next.startsWith('/\\') || next.startsWith('/sign-in')) return '/'
  return next
}
