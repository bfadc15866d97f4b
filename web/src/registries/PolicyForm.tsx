import { Button, Group, MultiSelect, NumberInput, Select, Stack, Text } from '@mantine/core'
import { useState } from 'react'

import { api, type Schemas } from '../api/client'
import { Failure } from '../ui/Failure'
import { Verdict } from '../ui/Verdict'
import { PolicyEffect } from './PolicyEffect'

type Settings = Schemas['PolicySettings']

interface Props {
  document: Schemas['PolicyDocument']
  disabled: boolean
  change: { error: unknown; isPending: boolean; isSuccess: boolean }
  /** Saves what was made of the version. */
  onSave: (settings: Settings, version: number) => void
  onReload: () => void
}

const levels = ['critical', 'high', 'medium', 'low', 'negligible', 'unknown']
const inherit = 'inherited'

/** What a policy says itself; what it does not say it inherits. */
export function PolicyForm({ document: now, disabled, change, onSave, onReload }: Props) {
  // What it was opened with, whatever others make of it meanwhile.
  const [document] = useState(now)
  const types = api.useQuery('get', '/assessment-types')
  const names = (types.data?.items ?? []).map((t) => t.name)
  const [s, setSettings] = useState<Settings>(document.settings)
  const preview = api.useMutation('post', '/policy/preview')
  const set = (more: Partial<Settings>) => {
    preview.reset()
    setSettings((now) => ({ ...now, ...more }))
  }
  const { effective } = document
  const above = document.registry === '' ? 'the default' : 'inherited'
  const said = (value: string | number | boolean | null) => (value === null || value === '' ? 'never' : value === true ? 'yes' : value === false ? 'no' : String(value))
  const option = (value: string | number | boolean | null) => ({ value: inherit, label: `${above}: ${said(value)}` })
  const choice = (key: 'block_unassessed_from' | 'warn_unassessed_from' | 'require_coverage' | 'refusal' | 'allow_digest_pulls', label: string, now: string | null, values: { value: string; label: string }[]) => (
    <Select key={key} label={label} disabled={disabled} value={s[key] ?? inherit} onChange={(v) => set({ [key]: v === inherit ? null : v })} data={[option(document.settings[key] === null ? now : '…'), ...values].map((o) => (o.value === inherit && document.settings[key] !== null ? { ...o, label: above } : o))} />
  )
  const hours = (key: 'grace_hours' | 'max_feed_age_hours' | 'digest_pull_hours', label: string, description: string) => (
    <NumberInput key={key} label={label} description={description} disabled={disabled} min={0} max={87600} suffix=" h" placeholder={`${above}: ${effective[key]} h`} value={s[key] ?? ''} onChange={(v) => set({ [key]: v === '' ? null : Number(v) })} />
  )
  const list = (key: 'block' | 'warn', label: string) => (
    <MultiSelect key={key} label={label} disabled={disabled} clearable data={names} value={s[key] ?? []} onChange={(v) => set({ [key]: v.length === 0 ? null : v })} placeholder={(s[key] ?? []).length === 0 ? `${above}: ${effective[key].join(', ') || 'none'}` : ''} />
  )
  const severity = [{ value: 'never', label: 'never' }, ...levels.map((l) => ({ value: l, label: l === 'critical' ? 'critical' : `${l} and graver` }))]
  return (
    <form onSubmit={(e) => { e.preventDefault(); onSave(s, document.version) }}>
      <Stack gap="sm">
        <Group grow align="flex-start" preventGrowOverflow={false}>{list('block', 'Block what is assessed as')}{list('warn', 'Warn of what is assessed as')}</Group>
        <Group grow align="flex-start" preventGrowOverflow={false}>
          {choice('block_unassessed_from', 'Block unassessed findings from', effective.block_unassessed_from, severity)}
          {choice('warn_unassessed_from', 'Warn of unassessed findings from', effective.warn_unassessed_from, severity)}
        </Group>
        {hours('grace_hours', 'Grace', 'How long after it was first seen an unassessed finding does not block yet')}
        <Group grow align="flex-start" preventGrowOverflow={false}>
          <Select label="Wait for the analysis and all sources" disabled={disabled} value={s.require_analysis === null ? inherit : String(s.require_analysis)} onChange={(v) => set({ require_analysis: v === inherit ? null : v === 'true' })}
            data={[{ value: inherit, label: document.settings.require_analysis === null ? `${above}: ${said(effective.require_analysis)}` : above }, { value: 'true', label: 'yes' }, { value: 'false', label: 'no' }]} />
          {choice('require_coverage', 'How much must be known of an image', effective.require_coverage, [{ value: 'none', label: 'nothing' }, { value: 'partial', label: 'a part' }, { value: 'known', label: 'everything' }])}
        </Group>
        {hours('max_feed_age_hours', 'Feeds no older than', '0: of any age')}
        <Group grow align="flex-start" preventGrowOverflow={false}>
          {choice('refusal', 'A refused pull gets', effective.refusal, [{ value: 'denied', label: '403 DENIED, with the reasons' }, { value: 'unknown', label: '404 MANIFEST_UNKNOWN, as ProGet' }])}
          {choice('allow_digest_pulls', 'Pulls by digest of what is blocked', effective.allow_digest_pulls, [{ value: 'never', label: 'never' }, { value: 'recent', label: 'for a while after it became blocked' }, { value: 'always', label: 'always' }])}
        </Group>
        {(s.allow_digest_pulls ?? effective.allow_digest_pulls) === 'recent' && hours('digest_pull_hours', 'For so long', 'after an image that could be pulled became blocked')}
        <Failure what="It was not saved" error={change.error} reload={onReload} />
        <Failure what="What it changes cannot be told" error={preview.error} />
        {preview.data && <PolicyEffect preview={preview.data} />}
        {!disabled && (
          <Group>
            <Button type="submit" loading={change.isPending}>Save</Button>
            <Button variant="default" loading={preview.isPending} onClick={() => preview.mutate({ params: { query: { wait: 5 } }, body: { policy: s, registry: document.registry } })}>See what it changes</Button>
            <span role="status">{change.isSuccess && <Verdict kind="good">Saved</Verdict>}</span>
            <Text size="xs" c="dimmed">It holds for the next pull.</Text>
          </Group>
        )}
      </Stack>
    </form>
  )
}
