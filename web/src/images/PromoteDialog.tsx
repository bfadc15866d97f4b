import { Anchor, Button, Group, List, Select, Stack, Text, TextInput } from '@mantine/core'
import { useState } from 'react'
import { Link } from 'react-router'

import { api, type Schemas } from '../api/client'
import { imagePath, parseAt } from '../registries/reference'
import { Dialog } from '../ui/Dialog'
import { Failure } from '../ui/Failure'
import { plural, shortDigest } from '../ui/format'
import { useRefresh } from '../ui/refresh'
import { Verdict } from '../ui/Verdict'

interface Props {
  image: Schemas['Image']
  /** Where it is promoted from, "main/app:1" or "main/app". */
  at: string
  onClose: () => void
}

/** Copies an image to another registry: says first what its policy makes of it. */
export function PromoteDialog({ image, at, onClose }: Props) {
  const refresh = useRefresh()
  const place = parseAt(at)
  const registries = api.useQuery('get', '/registries', { params: { query: { page_size: 1000 } } })
  const [registry, setRegistry] = useState<string | null>(null)
  const [repository, setRepository] = useState(place?.repository ?? '')
  const [tag, setTag] = useState(place?.tag ?? '')
  const [comment, setComment] = useState('')
  const preview = api.useMutation('post', '/promotions/preview')
  const promote = api.useMutation('post', '/promotions', { onSuccess: refresh })
  if (place === undefined) return null
  const body = {
    from: { registry: place.registry, repository: place.repository, ...(place.tag === '' ? { digest: image.digest } : { tag: place.tag }) },
    to: { registry: registry ?? '', repository, ...(tag === '' ? {} : { tag }) }, ...(comment === '' ? {} : { comment }),
  }
  const again = () => preview.reset()
  const plan = preview.data
  const done = promote.data
  return (
    <Dialog opened onClose={onClose} size="lg" title={`Promote ${at}`}>
      <form onSubmit={(e) => {
        e.preventDefault()
        if (plan === undefined) preview.mutate({ body })
        else promote.mutate({ body })
      }}>
        <Stack gap="sm">
          <Text size="sm">It is copied as it is, with all that is attached to it. No bytes are copied.</Text>
          <Select label="To the registry" required data={(registries.data?.items ?? []).map((r) => r.name)} value={registry} onChange={(v) => { setRegistry(v); again() }} />
          <Group grow align="flex-start">
            <TextInput label="Repository" required value={repository} onChange={(e) => { setRepository(e.currentTarget.value); again() }} />
            <TextInput label="Tag" value={tag} placeholder="none" onChange={(e) => { setTag(e.currentTarget.value); again() }} />
          </Group>
          <TextInput label="Comment" description="Why, for the history." value={comment} onChange={(e) => setComment(e.currentTarget.value)} />
          <Failure what="It cannot be promoted" error={preview.error ?? promote.error} />
          {plan && !done && <Plan plan={plan} />}
          {done && (
            <Verdict kind="good">
              Promoted to <Anchor component={Link} fz="inherit" to={imagePath(done.digest, named(done.to))}>{named(done.to)}</Anchor>
            </Verdict>
          )}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>{done ? 'Close' : 'Cancel'}</Button>
            {!done && (
              <Button type="submit" disabled={registry === null || repository === '' || plan?.verdict.blocked === true} loading={preview.isPending || promote.isPending}>
                {plan === undefined ? 'See what it comes to' : 'Promote'}
              </Button>
            )}
          </Group>
        </Stack>
      </form>
    </Dialog>
  )
}

function Plan({ plan }: { plan: Schemas['PromotionPlan'] }) {
  const { verdict } = plan
  const told = verdict.blocked ? verdict.reasons : verdict.warnings
  return (
    <div role="status">
      <Verdict kind={verdict.blocked ? 'bad' : 'good'}>
        {verdict.blocked ? `The policy of ${plan.to.registry} keeps it out` : `The policy of ${plan.to.registry} lets it in: ${plural(plan.manifests, 'manifest')}`}
      </Verdict>
      {told.length > 0 && <List size="sm" mt={4}>{told.slice(0, 10).map((r) => <List.Item key={`${r.kind} ${r.message}`}>{r.message}</List.Item>)}</List>}
      {told.length > 10 && <Text size="sm" c="dimmed">and {told.length - 10} more</Text>}
      {plan.replaces !== undefined && plan.replaces !== plan.digest && <Text size="sm" mt={4}>{named(plan.to)} is {shortDigest(plan.replaces)} now, and will no longer be.</Text>}
    </div>
  )
}

/** An image's name in a registry. */
export function named(name: Schemas['ImageName']): string {
  return `${name.registry}/${name.repository}${name.tag === '' ? '' : `:${name.tag}`}`
}
