import { Select, Text } from '@mantine/core'

import type { Schemas } from '../api/client'
import { Empty } from '../ui/Empty'
import { Waiting } from '../ui/Loading'
import { LocalList } from '../ui/LocalList'
import type { Column } from '../ui/rows'
import { SeverityCounts } from '../ui/Severity'
import { type Counts, risk } from '../ui/severity'
import { useUrlState } from '../ui/urlState'
import { useImage } from './context'
import { useFindings, usePackages } from './findings'
import { OfLayer } from './OfLayer'

type Installed = Schemas['InstalledPackage']

export function Component() {
  const { image } = useImage()
  const url = useUrlState()
  const packages = usePackages(image.digest)
  const findings = useFindings(image.digest)
  if (packages.data === undefined) return <Waiting query={packages} what="The packages cannot be shown" />
  const counts = new Map<string, Counts>()
  for (const f of findings.data?.items ?? []) {
    const key = keyOf({ ...f.package, path: f.evidence.path })
    const of = counts.get(key) ?? { critical: 0, high: 0, medium: 0, low: 0, negligible: 0, unknown: 0 }
    of[f.severity]++
    counts.set(key, of)
  }
  const all = packages.data.items
  const kinds = [...new Set(all.map((p) => p.type))].toSorted()
  const kind = url.get('type')
  const layer = url.get('layer')
  const columns: Column<Installed>[] = [
    { key: 'name', title: 'Package', lead: true, value: (p) => p.name, render: (p) => <b>{p.name}</b> },
    { key: 'version', title: 'Version', brief: true, value: (p) => p.version, render: (p) => <span className="mono">{p.version}</span> },
    { key: 'type', title: 'Type', brief: true, value: (p) => p.type, render: (p) => p.type },
    { key: 'source', title: 'Source', brief: true, value: (p) => p.source_name, render: (p) => (p.source_name === p.name ? '' : p.source_name) },
    {
      key: 'findings', title: 'Findings', brief: true, value: (p) => risk(counts.get(keyOf(p)) ?? none),
      render: (p) => {
        const of = counts.get(keyOf(p))
        return of ? <SeverityCounts counts={of} /> : <Text span size="sm" c="dimmed">{p.owner ? `judged as ${p.owner}` : '–'}</Text>
      },
    },
    { key: 'layer', title: 'Layer', numeric: true, value: (p) => p.layer_index, render: (p) => p.layer_index },
    { key: 'path', title: 'Proved by', value: (p) => p.path, render: (p) => <span className="mono">{p.path}{p.line ? `:${p.line}` : ''}</span> },
  ]
  return (
    <LocalList
      caption="Packages" columns={columns} rows={all.filter((p) => (kind === '' || p.type === kind) && (layer === '' || p.layer_index === Number(layer)))} all={all.length}
      rowKey={(p) => `${keyOf(p)}|${p.line ?? ''}`} text={(p) => `${p.name} ${p.version} ${p.source_name} ${p.path}`} searchLabel="Search packages and paths"
      filters={<><Select size="xs" aria-label="Type" data={[{ value: '', label: 'Every type' }, ...kinds]} value={kind} onChange={(v) => url.set({ type: v ?? '' })} w={140} /><OfLayer url={url} /></>}
      empty={<Empty title="No packages were found">{image.analysis === 'pending' ? 'The image is being analysed; this page follows by itself.' : 'The image holds no package database and no program that tells its version. It may be built from scratch: push a bill of materials as its referrer, and that counts.'}</Empty>}
    />
  )
}

const none: Counts = { critical: 0, high: 0, medium: 0, low: 0, negligible: 0, unknown: 0 }

function keyOf(p: { type: string; name: string; version: string; architecture: string; path: string }): string {
  return [p.type, p.name, p.version, p.architecture, p.path].join('|')
}
