import { expect, test } from 'vitest'

import type { Schemas } from '../api/client'
import { policyInWords } from './policy'

const lax: Schemas['Policy'] = {
  block: [], warn: [], block_unassessed_from: null, warn_unassessed_from: null, grace_hours: 0, require_analysis: false, require_coverage: 'none',
  max_feed_age_hours: 0, refusal: 'denied', allow_digest_pulls: 'never', digest_pull_hours: 0,
}

test.each([
  [{}, ['Refuses nothing']],
  [{ refusal: 'unknown', allow_digest_pulls: 'always', grace_hours: 5 }, ['Refuses nothing']],
  [{ block: ['Block', 'Never'] }, ['Refuses what is assessed as Block or Never', 'and says why (403)']],
  [{ block_unassessed_from: 'high', grace_hours: 1, refusal: 'unknown' },
    ['Refuses unassessed findings from high on, 1 hour after they were first seen', 'as if it were not there (404)']],
  [{ require_analysis: true, require_coverage: 'known', max_feed_age_hours: 48, allow_digest_pulls: 'recent', digest_pull_hours: 24 },
    ['Refuses images that are not analysed, by every source; images of which not everything can be judged; images whose feeds were not confirmed for 48 hours', 'and says why (403)', 'but not by digest for 24 hours after it became blocked']],
  [{ require_coverage: 'partial', allow_digest_pulls: 'always' }, ['Refuses images of which nothing can be judged', 'and says why (403)', 'but not by digest']],
  [{ warn: ['Caution'], warn_unassessed_from: 'low' }, ['Refuses nothing', 'Warns of what is assessed as Caution; unassessed findings from low on']],
] as [Partial<Schemas['Policy']>, string[]][])('%j', (p, want) => {
  expect(policyInWords({ ...lax, ...p })).toEqual(want)
})
