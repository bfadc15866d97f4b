import { Button, ColorInput, Group, MultiSelect, NumberInput, Select, Stack, Switch, TagsInput, Text, TextInput } from '@mantine/core'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'

import { api, type Schemas } from '../api/client'
import { Dialog } from '../ui/Dialog'
import { Failure } from '../ui/Failure'
import { useRefresh } from '../ui/refresh'
import { severities } from '../ui/severity'

type Type = Schemas['AssessmentType']
type Rule = Schemas['AssessmentRule']
type Reopen = Type['reopen_on']

const reasons = [{ value: 'fix_available', label: 'a fix becomes available' }, { value: 'severity_raised', label: 'the severity rises' }, { value: 'exploited', label: 'it becomes known to be exploited' }]

/** Creates a type of assessments, or changes one. */
export function AssessmentTypeForm({ type, onClose }: { type?: Type; onClose: () => void }) {
  const queries = useQueryClient()
  const refresh = useRefresh()
  const [name, setName] = useState(type?.name ?? '')
  const [color, setColor] = useState(type?.color ?? '#6b7280')
  const [description, setDescription] = useState(type?.description ?? '')
  const [effect, setEffect] = useState<Type['effect']>(type?.effect ?? 'none')
  const [days, setDays] = useState<number | string>(type?.expiry_days ?? '')
  const [position, setPosition] = useState<number | string>(type?.position ?? 100)
  const [enabled, setEnabled] = useState(type?.enabled ?? true)
  const [reopen, setReopen] = useState<string[]>(type?.reopen_on ?? ['fix_available', 'severity_raised', 'exploited'])
  const [rule, setRule] = useState<Rule | undefined>(type?.rule)
  const done = { onSuccess: async () => {
    await queries.invalidateQueries({ predicate: (q) => q.queryKey[1] !== '/session' })
    onClose()
  } }
  const create = api.useMutation('post', '/assessment-types', done)
  const change = api.useMutation('patch', '/assessment-types/{name}', done)
  const body = { color, description, effect, enabled, reopen_on: reopen as Reopen, expiry_days: days === '' ? null : Number(days), position: Number(position) || 0 }
  return (
    <Dialog opened onClose={onClose} size="lg" title={type ? `Edit ${type.name}` : 'New assessment type'}>
      <form onSubmit={(e) => {
        e.preventDefault()
        if (type) change.mutate({ params: { path: { name: type.name }, header: { 'If-Match': type.etag } }, body: { ...body, ...(name === type.name ? {} : { name }), rule: rule ?? null } })
        else create.mutate({ body: { name, ...body, ...(rule === undefined ? {} : { rule }) } })
      }}>
        <Stack gap="sm">
          <TextInput label="Name" description="Policies that name it follow where it changes." required value={name} onChange={(e) => setName(e.currentTarget.value)} data-autofocus />
          <TextInput label="Description" value={description} onChange={(e) => setDescription(e.currentTarget.value)} />
          <Group grow align="flex-start">
            <ColorInput label="Colour" value={color} onChange={setColor} eyeDropperButtonProps={{ 'aria-label': 'Take a colour from the screen' }} />
            <Select label="Effect on pulls" data={[{ value: 'blocks', label: 'blocks' }, { value: 'warns', label: 'warns' }, { value: 'none', label: 'none' }]} value={effect} onChange={(v) => setEffect((v ?? 'none') as Type['effect'])} />
          </Group>
          <Group grow align="flex-start">
            <NumberInput label="Holds for" description="Empty: without end" suffix=" days" min={1} max={3650} value={days} onChange={setDays} />
            <NumberInput label="Position" description="The lowest first, also of rules" min={0} value={position} onChange={setPosition} />
          </Group>
          <MultiSelect label="Unassessed again when" data={reasons} value={reopen} onChange={setReopen} placeholder={reopen.length === 0 ? 'never before its expiry' : ''} clearable />
          <Switch label="Can be chosen" checked={enabled} onChange={(e) => setEnabled(e.currentTarget.checked)} />
          <Switch label="Assesses by itself what a rule says" checked={rule !== undefined} onChange={(e) => setRule(e.currentTarget.checked ? {} : undefined)} />
          {rule !== undefined && <RuleFields rule={rule} onChange={setRule} />}
          <Failure what="It was not saved" error={create.error ?? change.error} reload={() => void refresh().then(onClose)} />
          <Group justify="flex-end"><Button variant="default" onClick={onClose}>Cancel</Button><Button type="submit" loading={create.isPending || change.isPending}>Save</Button></Group>
        </Stack>
      </form>
    </Dialog>
  )
}

/** The conditions of a rule; what is empty is no condition. */
function RuleFields({ rule, onChange }: { rule: Rule; onChange: (rule: Rule) => void }) {
  const set = (key: keyof Rule, value: unknown) => {
    const next: Record<string, unknown> = { ...rule }
    if (value === null || value === '' || Array.isArray(value) && value.length === 0) delete next[key]
    else next[key] = value
    onChange(next as Rule)
  }
  const levels = [...severities]
  const number = (key: 'cvss_from' | 'cvss_to' | 'epss_from', label: string, max: number) => (
    <NumberInput label={label} min={0} max={max} step={max / 100} decimalScale={3} value={rule[key] ?? ''} onChange={(v) => set(key, v === '' ? '' : Number(v))} />
  )
  const either = (key: 'exploited' | 'fix_available', label: string) => (
    <Select label={label} clearable placeholder="either" data={[{ value: 'true', label: 'yes' }, { value: 'false', label: 'no' }]} value={rule[key] === undefined ? null : String(rule[key])} onChange={(v) => set(key, v === null ? null : v === 'true')} />
  )
  const patterns = (key: 'packages' | 'paths' | 'feeds' | 'package_types', label: string, placeholder: string) => (
    <TagsInput label={label} placeholder={(rule[key] ?? []).length === 0 ? placeholder : ''} value={rule[key] ?? []} onChange={(v) => set(key, v)} />
  )
  return (
    <Stack gap="sm" pl="md" role="group" aria-label="Rule">
      <Text size="xs" c="dimmed">All of these must hold; what is empty is not asked. What people decide comes first.</Text>
      <Group grow align="flex-start">
        <Select label="Severity at least" clearable placeholder="any" data={levels} value={rule.severity_from ?? null} onChange={(v) => set('severity_from', v)} />
        <Select label="Severity at most" clearable placeholder="any" data={levels} value={rule.severity_to ?? null} onChange={(v) => set('severity_to', v)} />
      </Group>
      <Group grow align="flex-start">{number('cvss_from', 'CVSS at least', 10)}{number('cvss_to', 'CVSS at most', 10)}{number('epss_from', 'EPSS at least', 1)}</Group>
      <Group grow align="flex-start">{either('exploited', 'Known to be exploited')}{either('fix_available', 'A fix is available')}</Group>
      {patterns('packages', 'Packages', 'linux-*')}
      {patterns('paths', 'Paths', 'usr/share/doc/**')}
      <Group grow align="flex-start">{patterns('feeds', 'Feeds or sources', 'debian')}{patterns('package_types', 'Types of packages', 'deb')}</Group>
    </Stack>
  )
}
