import { expect, test } from 'vitest'

import { eventOf } from './assessmentEvent'

const event = { id: 7, assessment_id: 3, at: '2026-11-26T12:00:00Z', actor: 'ada', action: 'ended' as const, hash: '' }

test.each([
  ['nothing', null, { type: '', scope: { kind: 'everywhere' }, comment: '', expiresAt: '', why: '' }],
  ['what ended', { type: 'Block', scope_kind: 'registry', scope_value: 'main', comment: 'c', expires_at: '2026-12-01T00:00:00Z', ended_reason: 'withdrawn', note: 'n' },
    { type: 'Block', scope: { kind: 'registry', value: 'main' }, comment: 'c', expiresAt: '2026-12-01T00:00:00Z', why: 'withdrawn, n' }],
  ['another form', { type: 5 }, { type: '', comment: '' }],
])('an event that says %s', (_, assessment, want) => {
  expect(eventOf({ ...event, assessment })).toMatchObject(want)
})
