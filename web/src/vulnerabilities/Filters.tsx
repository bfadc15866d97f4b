import { Badge, Button, Collapse, Group, MultiSelect, Select, TextInput } from '@mantine/core'
import { useDebouncedCallback, useDisclosure } from '@mantine/hooks'
import { IconFilter, IconSearch } from '@tabler/icons-react'

import { api } from '../api/client'
import { severities } from '../ui/severity'
import type { UrlState } from '../ui/urlState'
import { ages, moreFilters } from './filter'

const yesOrNo = (yes: string, no: string) => [{ value: 'true', label: yes }, { value: 'false', label: no }]

/** The filters of the list of vulnerabilities. All of them are in the address. */
export function Filters({ url }: { url: UrlState }) {
  const types = api.useQuery('get', '/assessment-types')
  const registries = api.useQuery('get', '/registries', { params: { query: { page_size: 1000 } } })
  const sources = api.useQuery('get', '/vulnerability-sources')
  const used = moreFilters.filter((name) => url.get(name) !== '').length
  const [open, more] = useDisclosure(used > 0)
  const write = useDebouncedCallback((name: string, value: string) => url.set({ [name]: value.trim() }), 250)
  const wide = { base: '100%', xs: 200 }
  const choice = (name: string, label: string, data: { value: string; label: string }[], any: string) => (
    <Select size="xs" label={label} data={data} value={url.get(name) || null} placeholder={any} onChange={(v) => url.set({ [name]: v ?? '' })} w={wide} clearable />
  )
  // An input is made anew when its filter is taken away elsewhere.
  const text = (name: string, label: string, placeholder: string) => (
    <TextInput key={url.get(name) === '' ? `no ${name}` : name} size="xs" label={label} placeholder={placeholder} defaultValue={url.get(name)} onChange={(e) => write(name, e.currentTarget.value)} w={wide} />
  )
  return (
    <>
      <Group gap="xs" mb="sm" align="flex-end">
        <TextInput
          key={url.get('q') === '' ? 'empty' : 'filled'} type="search" size="xs" aria-label="Search by name" placeholder="Search by name" leftSection={<IconSearch size={14} aria-hidden />}
          defaultValue={url.get('q')} onChange={(e) => write('q', e.currentTarget.value)} w={{ base: '100%', xs: 220 }}
        />
        <MultiSelect size="xs" aria-label="Severities" placeholder={url.get('severity') ? '' : 'Any severity'} data={[...severities]} value={url.list('severity')} onChange={(v) => url.set({ severity: v.join(',') })} w={{ base: '100%', xs: 220 }} clearable />
        <MultiSelect size="xs" aria-label="States" placeholder={url.get('state') ? '' : 'Any state'} data={['unassessed', 'expired', ...(types.data?.items ?? []).map((t) => t.name)]} value={url.list('state')} onChange={(v) => url.set({ state: v.join(',') })} w={{ base: '100%', xs: 220 }} clearable />
        <Button size="xs" variant="default" leftSection={<IconFilter size={14} aria-hidden />} rightSection={used > 0 ? <Badge size="xs" circle aria-label={`${used} in use`}>{used}</Badge> : undefined} aria-expanded={open} onClick={more.toggle}>
          {open ? 'Fewer filters' : 'More filters'}
        </Button>
      </Group>
      <Collapse expanded={open}>
        <Group gap="xs" mb="md" align="flex-end">
          {choice('cvss', 'CVSS score', [9, 7, 4, 0.1].map((n) => ({ value: String(n), label: `${n} or more` })), 'Any')}
          {choice('epss', 'EPSS', [0.5, 0.1, 0.01].map((n) => ({ value: String(n), label: `${n * 100} % or more` })), 'Any')}
          {choice('kev', 'Known to be exploited', yesOrNo('Yes', 'No'), 'Either')}
          {choice('fix', 'Fix', yesOrNo('Available', 'None'), 'Either')}
          {choice('age', 'First seen', Object.entries(ages).map(([value, a]) => ({ value, label: a.label })), 'Any time')}
          {choice('registry', 'Registry', (registries.data?.items ?? []).map((r) => ({ value: r.name, label: r.name })), 'Any')}
          {text('repository', 'Repository', 'main/app')}
          {text('package', 'Package', 'openssl')}
          {choice('source', 'Vulnerability source', (sources.data?.items ?? []).map((s) => ({ value: s.name, label: s.name })), 'Any')}
          {used > 0 && <Button size="xs" variant="subtle" onClick={() => url.set(Object.fromEntries(moreFilters.map((name) => [name, ''])))}>Clear these</Button>}
        </Group>
      </Collapse>
    </>
  )
}
