import { NumberInput, Progress, Stack, Switch, TagsInput, Text } from '@mantine/core'
import { useState } from 'react'

import { api, type Schemas } from '../api/client'
import { useAdministrator } from '../shell/session'
import { bytes } from '../ui/format'
import { Panel } from '../ui/Panel'
import { useRounds } from '../ui/rounds'
import { Saved } from './Saved'

type Registry = Schemas['Registry']

const gigabyte = 1e9

/** What a registry asks of what is pushed to it and deleted from it. */
export function Rules({ name, registry, disabled }: { name: string; registry: Registry; disabled: boolean }) {
  const { round, renew } = useRounds()
  const change = api.useMutation('patch', '/registries/{registry}', { onSuccess: renew })
  const reload = () => {
    change.reset()
    void renew()
  }
  return <RulesForm key={round} name={name} registry={registry} disabled={disabled} change={change} onReload={reload} onSave={(body, etag) => change.mutate({ params: { path: { registry: name }, header: { 'If-Match': etag } }, body })} />
}

interface Form {
  name: string
  registry: Registry
  disabled: boolean
  change: { error: unknown; isPending: boolean; isSuccess: boolean }
  onReload: () => void
  onSave: (body: Schemas['Change-registryRequest'], etag: string) => void
}

function RulesForm({ name, registry, disabled, change, onReload, onSave }: Form) {
  const administrator = useAdministrator() // who alone may change a quota
  const [etag] = useState(registry.etag)
  const [quota, setQuota] = useState<number | string>(registry.quota_bytes === 0 ? '' : registry.quota_bytes / gigabyte)
  const [immutable, setImmutable] = useState(registry.immutable_tags)
  const [versions, setVersions] = useState(registry.version_tags)
  return (
    <Panel title="Quota and tags">
      <form onSubmit={(e) => {
        e.preventDefault()
        onSave({ ...(administrator ? { quota_bytes: Math.round((Number(quota) || 0) * gigabyte) } : {}), immutable_tags: immutable, version_tags: versions }, etag)
      }}>
        <Stack gap="sm">
          <Used name={name} quota={registry.quota_bytes} />
          <NumberInput label="Quota" description="Empty: no bound. What does not fit is refused." suffix=" GB" min={0} decimalScale={3} disabled={disabled || !administrator} value={quota} onChange={setQuota} maw={320} />
          <TagsInput label="Immutable tags" description="Patterns of tags that stay where they first pointed: press Enter after each." placeholder={immutable.length === 0 ? 'v*' : ''} disabled={disabled} value={immutable} onChange={setImmutable} />
          <Switch label="latest, 3 and 3.4 follow the highest version, such as 3.4.1" disabled={disabled} checked={versions} onChange={(e) => setVersions(e.currentTarget.checked)} />
          <Saved change={change} disabled={disabled} onReload={onReload} />
        </Stack>
      </form>
    </Panel>
  )
}

function Used({ name, quota }: { name: string; quota: number }) {
  const usage = api.useQuery('get', '/registries/{registry}/usage', { params: { path: { registry: name } } })
  if (usage.data === undefined) return null
  const used = usage.data.bytes
  const share = quota === 0 ? 0 : Math.min(100, 100 * used / quota)
  return (
    <div>
      <Text size="sm">{bytes(used)} used{quota > 0 && ` of ${bytes(quota)}`}, each blob counted once.</Text>
      {quota > 0 && <Progress mt={4} value={share} color={share >= 90 ? 'red' : undefined} aria-label={`${Math.round(share)} % of the quota`} />}
    </div>
  )
}
