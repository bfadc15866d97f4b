import type { Schemas } from '../api/client'

/** What a policy refuses, as a phrase. */
export function policyInWords(policy: Schemas['Policy']): string {
  const parts: string[] = []
  if (policy.block.length > 0) parts.push(`what is assessed as ${policy.block.join(' or ')}`)
  if (policy.block_unassessed_from !== null) {
    parts.push(`unassessed findings from ${policy.block_unassessed_from} on${policy.grace_hours > 0 ? ` after ${policy.grace_hours} h` : ''}`)
  }
  return parts.length === 0 ? 'nothing' : parts.join('; ')
}
