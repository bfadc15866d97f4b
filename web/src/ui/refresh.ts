import { useQueryClient } from '@tanstack/react-query'

/** Asks again for everything that is shown, but who is signed in. */
export function useRefresh(): () => Promise<void> {
  const queries = useQueryClient()
  return () => queries.invalidateQueries({ predicate: (q) => q.queryKey[1] !== '/session' })
}
