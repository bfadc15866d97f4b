import { useState } from 'react'

import { useRefresh } from './refresh'

interface Rounds {
  /** The key of the form: with another one it is made anew, of what is there now. */
  round: number
  renew: () => Promise<void>
}

/** A form keeps what it was opened with until it is saved, or asked for anew. */
export function useRounds(): Rounds {
  const [round, setRound] = useState(0)
  const refresh = useRefresh()
  return { round, renew: async () => {
    await refresh()
    setRound((n) => n + 1)
  } }
}
