import type { Schemas } from '../api/client'

/** What an event of the history says of an assessment: how it was then. */
interface Snapshot {
  vulnerability: string
  type: string
  scope_kind: Schemas['Scope']['kind']
  scope_value?: string
  comment: string
  expires_at?: string
  ended_reason?: string
  ended_note?: string
  note?: string
}

export interface AssessmentEvent {
  id: number
  assessment: number
  at: string
  actor: string
  action: Schemas['AssessmentEvent']['action']
  type: string
  scope: Schemas['Scope']
  comment: string
  expiresAt: string
  why: string
}

/** An event with what it says, whose form the interface leaves open. */
export function eventOf(e: Schemas['AssessmentEvent']): AssessmentEvent {
  const was = e.assessment as Partial<Snapshot> | null
  const text = (value: unknown) => (typeof value === 'string' ? value : '')
  return {
    id: e.id, assessment: e.assessment_id, at: e.at, actor: e.actor, action: e.action, type: text(was?.type),
    scope: { kind: was?.scope_kind ?? 'everywhere', ...(text(was?.scope_value) === '' ? {} : { value: text(was?.scope_value) }) },
    comment: text(was?.comment), expiresAt: text(was?.expires_at), why: [text(was?.ended_reason), text(was?.ended_note), text(was?.note)].filter(Boolean).join(', '),
  }
}

export const actions: Record<AssessmentEvent['action'], string> = {
  created: 'assessed', edited: 'edited', ended: 'ended', retyped: 'moved to another type', joined: 'moved to the vulnerability it is the same as',
}
