import { Accordion, Anchor, Button, Checkbox, Group, MultiSelect, SegmentedControl, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { useMemo, useState } from 'react'
import { Link } from 'react-router'

import { api } from '../api/client'
import { Empty } from '../ui/Empty'
import { percent, plural } from '../ui/format'
import { Loading, Waiting } from '../ui/Loading'
import { LocalList } from '../ui/LocalList'
import { DataTable } from '../ui/DataTable'
import type { Column } from '../ui/rows'
import { Severity, SeverityCounts } from '../ui/Severity'
import { severities, weight } from '../ui/severity'
import { State } from '../ui/State'
import { useUrlState } from '../ui/urlState'
import { Verdict } from '../ui/Verdict'
import { AssessDialog } from '../vulnerabilities/AssessDialog'
import { placesOf } from '../vulnerabilities/scope'
import { useImage } from './context'
import { OfLayer } from './OfLayer'
import { filterFindings, type Finding, findingKey, groupFindings, useFindings } from './findings'

export function Component() {
  const { image, at } = useImage()
  const url = useUrlState()
  const findings = useFindings(image.digest, image.analysis !== 'pending')
  const remedy = api.useQuery('get', '/images/{digest}/remedy', { params: { path: { digest: image.digest } } }, { enabled: image.analysis === 'done' })
  const types = api.useQuery('get', '/assessment-types')
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set())
  const [assessing, dialog] = useDisclosure(false)
  const base = remedy.data?.base.layer_count ?? 0
  const layers = (url.get('layers') || 'all') as 'all' | 'base' | 'own'
  const by = (url.get('by') || 'none') as 'none' | 'package' | 'layer' | 'vulnerability'
  const all = findings.data?.items
  const severity = url.get('severity')
  const layer = url.get('layer')
  const state = url.get('state')
  const fixable = url.get('fixable') !== ''
  const exploited = url.get('kev') !== ''
  const rows = useMemo(
    () => filterFindings(all ?? [], { severities: severity.split(',').filter(Boolean), states: state.split(',').filter(Boolean), fixable, exploited, layers, layer: layer === '' ? undefined : Number(layer) }, base),
    [all, severity, state, fixable, exploited, layers, layer, base],
  )
  if (image.analysis === 'pending') return <Verdict kind="busy">Being analysed. This page follows by itself.</Verdict>
  if (image.analysis === 'failed') return <Empty title="It could not be analysed">{image.error} What it holds is unknown, which does not mean clean.</Empty>
  if (all === undefined) return <Waiting query={findings} what="The findings cannot be shown" />
  const explain = (f: Finding) => `/images/${image.digest}/explain/${encodeURIComponent(f.vulnerability)}${at === '' ? '' : `?at=${encodeURIComponent(at)}`}`
  const toggle = (name: string) => setChosen((now) => {
    const next = new Set(now)
    if (!next.delete(name)) next.add(name)
    return next
  })
  const columns: Column<Finding>[] = [
    { key: 'choose', title: 'Choose', quiet: true, corner: true, width: '32px', render: (f) => <Checkbox size="xs" aria-label={`Choose ${f.vulnerability} of ${f.package.name}`} checked={chosen.has(f.vulnerability)} onChange={() => toggle(f.vulnerability)} /> },
    {
      key: 'vulnerability', title: 'Vulnerability', lead: true, value: (f) => f.vulnerability,
      render: (f) => (
        <>
          <Anchor component={Link} to={`/vulnerabilities/${encodeURIComponent(f.vulnerability)}?image=${image.digest}&at=${encodeURIComponent(at)}`} fw={600} fz="inherit" style={{ whiteSpace: 'nowrap' }}>{f.vulnerability}</Anchor>
          {f.exploited_since && <Verdict kind="bad"> <Text span size="xs">exploited</Text></Verdict>}
        </>
      ),
    },
    { key: 'severity', title: 'Severity', brief: true, value: (f) => weight(f.severity), numeric: false, render: (f) => <Severity value={f.severity} /> },
    {
      key: 'package', title: 'Package', value: (f) => f.package.name,
      render: (f) => <><b>{f.package.name}</b> <span className="mono">{f.package.version}</span></>,
    },
    { key: 'fixed', title: 'Fixed in', brief: true, value: (f) => f.fixed_version, render: (f) => (f.fixed_version ? <span className="mono">{f.fixed_version}</span> : <Text span size="sm" c="dimmed">{f.fix_state?.replaceAll('_', ' ') ?? 'no fix'}</Text>) },
    { key: 'cvss', title: 'CVSS', numeric: true, value: (f) => f.cvss ?? -1, render: (f) => f.cvss?.toFixed(1) ?? '' },
    { key: 'epss', title: 'EPSS', numeric: true, value: (f) => f.epss ?? -1, render: (f) => (f.epss === undefined ? '' : percent(f.epss)) },
    { key: 'state', title: 'State', brief: true, value: (f) => f.state, render: (f) => <State name={f.state} blocks={f.blocks} /> },
    { key: 'layer', title: 'Layer', numeric: true, value: (f) => f.layer_index, render: (f) => <>{f.layer_index}{base > 0 && <Text span size="xs" c="dimmed"> {f.layer_index < base ? 'base' : 'own'}</Text>}</> },
    { key: 'why', title: 'Actions', quiet: true, render: (f) => <Anchor component={Link} to={explain(f)} fz="xs" aria-label={`Why ${f.vulnerability} is found in ${f.package.name}`}>why</Anchor> },
  ]
  const filters = (
    <>
      <OfLayer url={url} />
      <MultiSelect size="xs" aria-label="Severities" placeholder={severity ? '' : 'Any severity'} data={[...severities]} value={url.list('severity')} onChange={(v) => url.set({ severity: v.join(',') })} w={{ base: '100%', xs: 210 }} clearable />
      <MultiSelect size="xs" aria-label="States" placeholder={state ? '' : 'Any state'} data={['unassessed', ...(types.data?.items ?? []).map((t) => t.name)]} value={url.list('state')} onChange={(v) => url.set({ state: v.join(',') })} w={{ base: '100%', xs: 190 }} clearable />
      <Checkbox size="xs" label="Fix available" checked={fixable} onChange={(e) => url.set({ fixable: e.currentTarget.checked ? '1' : '' })} py={7} />
      <Checkbox size="xs" label="Exploited (KEV)" checked={exploited} onChange={(e) => url.set({ kev: e.currentTarget.checked ? '1' : '' })} py={7} />
      {base > 0 && (
        <SegmentedControl size="xs" aria-label="Whose layers" value={layers} onChange={(v) => url.set({ layers: v === 'all' ? '' : v })}
          data={[{ value: 'all', label: 'All layers' }, { value: 'base', label: 'Base image' }, { value: 'own', label: 'Own' }]} />
      )}
      <SegmentedControl size="xs" aria-label="Group by" value={by} onChange={(v) => url.set({ by: v === 'none' ? '' : v })}
        data={[{ value: 'none', label: 'List' }, { value: 'package', label: 'By package' }, { value: 'layer', label: 'By layer' }, { value: 'vulnerability', label: 'By vulnerability' }]} />
    </>
  )
  const names = [...chosen]
  return (
    <>
      {all.length > 0 && (
        <Group mb="sm" gap="sm" justify="space-between">
          <Text size="sm" c="dimmed" role="status">{plural(rows.length, 'finding')}{rows.length < all.length ? ` of ${all.length}` : ''}{findings.data?.complete === false && '; the gravest 20,000'}</Text>
          <Button size="xs" disabled={names.length === 0} onClick={dialog.open}>{names.length === 0 ? 'Choose some to assess' : `Assess ${plural(names.length, 'vulnerability', 'vulnerabilities')}`}</Button>
        </Group>
      )}
      {by === 'none' ? (
        <LocalList
          caption="Findings" columns={columns} rows={rows} all={all.length} rowKey={findingKey} filters={filters}
          text={(f) => `${f.vulnerability} ${f.package.name} ${f.package.version} ${f.description}`} searchLabel="Search vulnerability or package"
          empty={<NoFindings coverage={image.coverage?.verdict} />}
        />
      ) : (
        <>
          <Group gap="xs" mb="sm">{filters}</Group>
          <Accordion variant="separated" multiple chevronPosition="left">
            {groupFindings(rows, by).slice(0, 300).map((g) => (
              <Accordion.Item key={g.key} value={g.key}>
                <Accordion.Control>
                  <Group justify="space-between" gap="xs" wrap="wrap"><Text size="sm" fw={600} className="break">{g.title}</Text><SeverityCounts counts={g.counts} /></Group>
                </Accordion.Control>
                <Accordion.Panel>
                  <DataTable caption={`Findings of ${g.title}`} columns={columns} rows={g.findings} rowKey={findingKey} />
                </Accordion.Panel>
              </Accordion.Item>
            ))}
          </Accordion>
          {rows.length === 0 && <Empty title="Nothing matches">Change the filters above.</Empty>}
        </>
      )}
      {assessing && (
        <AssessDialog
          vulnerabilities={names} onClose={dialog.close} onDone={() => setChosen(new Set())}
          places={placesOf(image.digest, at)}
        />
      )}
      {remedy.isLoading && all.length === 0 && <Loading lines={1} />}
    </>
  )
}

function NoFindings({ coverage }: { coverage?: string }) {
  if (coverage === 'known') return <Empty title="Nothing was found">Every package could be judged, by feeds that are current. When a feed changes, this list does by itself.</Empty>
  return <Empty title="Nothing was found, but not everything could be judged">See the overview for what is missing; usually a feed has to be updated or the distribution is not known.</Empty>
}
