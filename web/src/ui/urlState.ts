import { useCallback } from 'react'
import { useSearchParams } from 'react-router'

/** State that is in the address, so that it can be sent to somebody, and the back button works. */
export interface UrlState {
  get: (name: string) => string
  list: (name: string) => string[]
  /** Sets values, "" takes one away; a filter that changes leads to the first page. */
  set: (values: Record<string, string>, options?: { keepPage?: boolean; push?: boolean }) => void
}

export function useUrlState(): UrlState {
  const [params, setParams] = useSearchParams()
  const set = useCallback<UrlState['set']>(
    (values, { keepPage = false, push = false } = {}) => {
      setParams((now) => {
        const next = new URLSearchParams(now)
        if (!keepPage) {
          next.delete('page')
          next.delete('token')
        }
        for (const [name, value] of Object.entries(values)) {
          if (value === '') next.delete(name)
          else next.set(name, value)
        }
        return next
      }, { replace: !push, preventScrollReset: true })
    },
    [setParams],
  )
  const get = useCallback((name: string) => params.get(name) ?? '', [params])
  const list = useCallback((name: string) => (params.get(name) ?? '').split(',').filter((v) => v !== ''), [params])
  return { get, list, set }
}
