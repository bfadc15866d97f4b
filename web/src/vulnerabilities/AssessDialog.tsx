import { Button, Group, List, Radio, Select, Stack, Text, Textarea, TextInput } from '@mantine/core'
import { useDebouncedValue } from '@mantine/hooks'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'

import { Dialog } from '../ui/Dialog'
import { api, client, type Schemas } from '../api/client'
import { Failure } from '../ui/Failure'
import { plural, shortDigest } from '../ui/format'
import { Loading } from '../ui/Loading'
import { State } from '../ui/State'
import { expiryOf, isDate } from './expiry'
import { Effect } from './Effect'
import { meanings, type Place, scopeOf, typed } from './scope'

interface Props {
  vulnerabilities: string[]
  /** The scopes that come to mind where the dialog was opened, the narrowest first. */
  places?: Place[]
  /** The images that it is about, where they are known. */
  images?: Schemas['Affected'][]
  onClose: () => void
  onDone?: () => void
}

/** Takes a decision on one vulnerability, or on many at once. */
export function AssessDialog({ vulnerabilities, places = [], images = [], onClose, onDone }: Props) {
  const queries = useQueryClient()
  const types = api.useQuery('get', '/assessment-types')
  const registries = api.useQuery('get', '/registries', { params: { query: { page_size: 1000 } } })
  const [type, setType] = useState('')
  const [scope, setScope] = useState(places.length > 0 ? `${places[0]?.kind} ${places[0]?.value}` : 'everywhere ')
  const [other, setOther] = useState('')
  const [comment, setComment] = useState('')
  const [expiry, setExpiry] = useState<'default' | 'never' | 'date'>('default')
  const [until, setUntil] = useState('')
  const [justification, setJustification] = useState<string | null>(null)
  const chosen = types.data?.items.find((t) => t.name === type)
  const at = scopeOf(scope, other)
  const request = { vulnerabilities, type, scope: at, ...(justification === null ? {} : { justification }), ...expiryOf(expiry, until) }
  const assess = useMutation({
    // All or none.
    mutationFn: () => client.POST('/assessments/bulk', { body: { ...request, comment } }),
    onSettled: () => queries.invalidateQueries({ predicate: (q) => q.queryKey[1] !== '/session' }),
    onSuccess: () => {
      onDone?.()
      onClose()
    },
  })
  const known = new Set(places.map((p) => `${p.kind} ${p.value}`))
  // One image has as many rows as packages that are affected, and places.
  const named = [...new Map(images.map((a) => [a.digest, `the image ${a.registry}/${a.repository}${a.tags[0] ? `:${a.tags[0]}` : `@${shortDigest(a.digest)}`}`])).entries()].slice(0, 50)
  const choices = [
    ...places.map((p) => ({ value: `${p.kind} ${p.value}`, label: p.label })),
    ...(registries.data?.items ?? []).map((r) => ({ value: `registry ${r.name}`, label: `the registry ${r.name}` })).filter((c) => !known.has(c.value)),
    { value: 'everywhere ', label: 'everywhere' },
    ...named.map(([digest, label]) => ({ value: `image ${digest}`, label })).filter((c) => !known.has(c.value)),
    { value: 'image', label: 'an image, by its digest' },
    { value: 'repository', label: 'a repository, by name' },
    { value: 'package', label: 'a package, by name, in every image' },
  ]
  const asked = scope.includes(' ') ? undefined : typed[at.kind]
  const ready = type !== '' && (expiry !== 'date' || isDate(until)) && (asked === undefined || other !== '')
  // What is being typed is not asked about letter by letter. It is compared as text:
  // each rendering makes a new object, which would never settle.
  const [settled] = useDebouncedValue(ready ? JSON.stringify(request) : '', 300, { leading: true })
  return (
    <Dialog opened onClose={onClose} size="lg" title={vulnerabilities.length === 1 ? `Assess ${vulnerabilities[0]}` : `Assess ${plural(vulnerabilities.length, 'vulnerability', 'vulnerabilities')}`}>
      <form onSubmit={(e) => { e.preventDefault(); assess.mutate() }}>
        <Stack gap="md">
          {vulnerabilities.length > 1 && (
            <List size="sm" spacing={0} style={{ maxHeight: 120, overflow: 'auto' }}>
              {vulnerabilities.map((v) => <List.Item key={v}>{v}</List.Item>)}
            </List>
          )}
          {types.data ? (
            <Radio.Group label="Assessment type" withAsterisk value={type} onChange={setType}>
              <Stack gap={8} mt={6}>
                {types.data.items.map((t) => (
                  <Radio key={t.name} value={t.name} label={<State name={t.name} />} description={[t.description, t.blocks && 'It blocks pulls.'].filter(Boolean).join(' ')} />
                ))}
              </Stack>
            </Radio.Group>
          ) : <Loading lines={3} />}
          <Group grow align="flex-start" preventGrowOverflow={false}>
            <Select label="Where it holds" description={meanings[at.kind]} allowDeselect={false} searchable={choices.length > 12} inputWrapperOrder={['label', 'input', 'description', 'error']} data={choices} value={scope} onChange={(v) => setScope(v ?? 'everywhere ')} miw={240} />
            {asked && (
              <TextInput label={asked.label} placeholder={asked.placeholder} required value={other} onChange={(e) => setOther(e.currentTarget.value)} miw={200} />
            )}
          </Group>
          <Textarea label="Comment" description="Why: whoever reads it in a year was not here today." autosize minRows={2} value={comment} onChange={(e) => setComment(e.currentTarget.value)} />
          {chosen && chosen.effect === 'none' && (
            <Select label="Justification" description="Why it does not matter, in the words of VEX documents; for those who read yours." placeholder="None" clearable data={justifications} value={justification} onChange={setJustification} />
          )}
          <Radio.Group label="Holds until" value={expiry} onChange={(v) => setExpiry(v as typeof expiry)} description="When it expires, the finding is unassessed again.">
            <Group gap="lg" mt={6}>
              <Radio value="default" label={chosen ? (chosen.expiry_days === null ? 'as its type: without end' : `as its type: ${plural(chosen.expiry_days, 'day')}`) : 'as its type says'} />
              <Radio value="date" label="a date" />
              <Radio value="never" label="without end" />
            </Group>
          </Radio.Group>
          {expiry === 'date' && <TextInput type="date" label="Last day" required value={until} onChange={(e) => setUntil(e.currentTarget.value)} maw={220} min={new Date().toISOString().slice(0, 10)} />}
          {ready && settled !== '' && <Effect request={JSON.parse(settled) as typeof request} />}
          <Failure what="It was not assessed" error={assess.error} />
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>Cancel</Button>
            <Button type="submit" disabled={!ready} loading={assess.isPending}>Assess</Button>
          </Group>
          {!ready && <Text size="xs" c="dimmed" ta="right">Choose an assessment type first.</Text>}
        </Stack>
      </form>
    </Dialog>
  )
}

const justifications = [
  { value: 'component_not_present', label: 'The component is not there' },
  { value: 'vulnerable_code_not_present', label: 'The vulnerable code is not there' },
  { value: 'vulnerable_code_not_in_execute_path', label: 'The vulnerable code is never run' },
  { value: 'vulnerable_code_cannot_be_controlled_by_adversary', label: 'An attacker cannot reach the vulnerable code' },
  { value: 'inline_mitigations_already_exist', label: 'Something else keeps it from being exploited' },
]
