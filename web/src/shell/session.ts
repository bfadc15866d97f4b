import { useQueryClient } from '@tanstack/react-query'

import { api, type Schemas } from '../api/client'

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

export type Right = Schemas['SignedInUser']['everywhere'][number]

/** Whether somebody may do something in a registry; in all of them where it is ''. */
export function may(user: Schemas['SignedInUser'] | null | undefined, right: Right, registry = ''): boolean {
  if (!user) return false
  return user.everywhere.includes(right) || user.registries.some((r) => r.registry === registry && r.rights.includes(right))
}

/** Whether who is signed in may do something in a registry; in all of them where it is ''. */
export function useMay(right: Right, registry = ''): boolean {
  return may(useSession().data?.user, right, registry)
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
