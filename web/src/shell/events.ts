import { useQueryClient } from '@tanstack/react-query'
import { useEffect } from 'react'

import type { Schemas } from '../api/client'

// What an event makes old: the first parts of the paths of answers.
const touched: Record<Schemas['Event']['type'], string[]> = {
  ready: [],
  job: ['/jobs', '/schedules', '/job-kinds'],
  feed: ['/feeds', '/vulnerabilities', '/stats', '/images', '/registries'],
  image: ['/images', '/registries', '/stats', '/vulnerabilities'],
  // States of findings and verdicts follow from it, wherever they are shown.
  decisions: ['/assessments', '/assessment-types', '/policy', '/policy-exceptions', '/images', '/registries', '/stats', '/vulnerabilities', '/vex-documents'],
  reload: [''],
}

/** The paths that an event makes old. */
export function pathsOf(event: Schemas['Event']): string[] {
  return touched[event.type] ?? []
}

/** Listens to the server while somebody is signed in: what changes there is asked for again, if it is shown. */
export function useEvents(enabled: boolean): void {
  const queries = useQueryClient()
  useEffect(() => {
    if (!enabled || typeof EventSource === 'undefined') return undefined
    const stale = new Set<string>()
    let timer: ReturnType<typeof setTimeout> | undefined
    const flush = () => {
      timer = undefined
      const paths = [...stale]
      stale.clear()
      void queries.invalidateQueries({ predicate: ({ queryKey }) => queryKey[1] !== '/session' && paths.some((p) => String(queryKey[1]).startsWith(p)) })
    }
    const source = new EventSource('/api/v1/events')
    source.onmessage = (message: MessageEvent<string>) => {
      for (const path of pathsOf(JSON.parse(message.data) as Schemas['Event'])) stale.add(path)
      // Many come at once while layers are analysed; one question a second answers them.
      if (stale.size > 0) timer ??= setTimeout(flush, 1000)
    }
    return () => {
      source.close()
      clearTimeout(timer)
    }
  }, [enabled, queries])
}
