import type { Schemas } from '../api/client'
import { ago } from '../ui/format'

const day = 86_400_000

/** How a feed does, in a word: failed, never read, or stale. */
export function feedHealth(feed: Schemas['Feed'], now = Date.now()): { kind: 'good' | 'warn' | 'bad' | 'open'; text: string } {
  if (feed.last_success === null) {
    return feed.error ? { kind: 'bad', text: 'never read: it fails' } : { kind: 'open', text: 'not read yet' }
  }
  if (feed.error) return { kind: 'bad', text: `fails; of ${ago(feed.last_success, now)}` }
  if (now - Date.parse(feed.last_success) > 2 * day) return { kind: 'warn', text: `stale: of ${ago(feed.last_success, now)}` }
  return { kind: 'good', text: 'current' }
}
