import type { Schemas } from '../api/client'
import { plural } from '../ui/format'

type Policy = Schemas['Policy']

const blocking = (p: Policy) => [
  p.block.length > 0 && `what is assessed as ${p.block.join(' or ')}`,
  p.block_unassessed_from !== null && `unassessed findings from ${p.block_unassessed_from} on${p.grace_hours > 0 ? `, ${plural(p.grace_hours, 'hour')} after they were first seen` : ''}`,
  p.require_analysis && 'images that are not analysed, by every source',
  p.require_coverage === 'known' && 'images of which not everything can be judged',
  p.require_coverage === 'partial' && 'images of which nothing can be judged',
  p.max_feed_age_hours > 0 && `images whose feeds were not confirmed for ${plural(p.max_feed_age_hours, 'hour')}`,
].filter((part) => part !== false)

const warning = (p: Policy) => [
  p.warn.length > 0 && `what is assessed as ${p.warn.join(' or ')}`,
  p.warn_unassessed_from !== null && `unassessed findings from ${p.warn_unassessed_from} on`,
].filter((part) => part !== false)

/** Everything that a policy says, a phrase each: what it refuses, how, and what it warns of. */
export function policyInWords(policy: Policy): string[] {
  const [blocks, warns] = [blocking(policy), warning(policy)]
  const said = [blocks.length === 0 ? 'Refuses nothing' : `Refuses ${blocks.join('; ')}`]
  if (blocks.length > 0) {
    said.push(policy.refusal === 'unknown' ? 'as if it were not there (404)' : 'and says why (403)')
    if (policy.allow_digest_pulls === 'always') said.push('but not by digest')
    if (policy.allow_digest_pulls === 'recent') said.push(`but not by digest for ${plural(policy.digest_pull_hours, 'hour')} after it became blocked`)
  }
  if (warns.length > 0) said.push(`Warns of ${warns.join('; ')}`)
  return said
}
