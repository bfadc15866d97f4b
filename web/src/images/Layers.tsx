import { Anchor, Text } from '@mantine/core'
import { Link } from 'react-router'

import { api, type Schemas } from '../api/client'
import { imagePath } from '../registries/reference'
import { DataTable } from '../ui/DataTable'
import { bytes, shortDigest } from '../ui/format'
import { Waiting } from '../ui/Loading'
import { type Column, sortRows } from '../ui/rows'
import { useUrlState } from '../ui/urlState'
import { Copy } from '../ui/Command'
import { useImage } from './context'
import { instruction } from './instruction'

type Layer = Schemas['Layer']

export function Component() {
  const { image, at } = useImage()
  const url = useUrlState()
  const layers = api.useQuery('get', '/images/{digest}/layers', { params: { path: { digest: image.digest } } })
  const remedy = api.useQuery('get', '/images/{digest}/remedy', { params: { path: { digest: image.digest } } }, { enabled: image.analysis === 'done' })
  const base = remedy.data?.base.layer_count ?? 0
  if (layers.data === undefined) return <Waiting query={layers} what="The layers cannot be shown" />
  const columns: Column<Layer>[] = [
    { key: 'index', title: '#', numeric: true, width: '48px', value: (l) => l.index, render: (l) => l.index },
    {
      key: 'instruction', title: 'Instruction', lead: true,
      render: (l) => {
        const { word, rest } = instruction(l.created_by ?? '')
        return (
          <>
            <code className="break"><b>{word}</b> {rest}</code>
            <Text size="xs" c="dimmed" className="mono" component="div">{shortDigest(l.digest)} <Copy value={l.digest} label="Copy the digest" />{l.foreign && ' stored elsewhere'}</Text>
          </>
        )
      },
    },
    { key: 'of', title: 'Of', brief: true, render: (l) => (base === 0 ? '' : l.index < base ? 'base image' : 'own') },
    { key: 'size', title: 'Size', numeric: true, value: (l) => l.size, render: (l) => bytes(l.size) },
    { key: 'packages', title: 'Packages', numeric: true, value: (l) => l.package_count, render: (l) => <Introduced count={l.package_count} to={imagePath(image.digest, at, 'packages', { layer: String(l.index) })} what={`packages of layer ${l.index}`} /> },
    { key: 'findings', title: 'Findings', numeric: true, value: (l) => l.finding_count, render: (l) => <Introduced count={l.finding_count} to={imagePath(image.digest, at, 'vulnerabilities', { layer: String(l.index) })} what={`findings of layer ${l.index}`} /> },
  ]
  const sort = url.get('sort') || 'index'
  return <DataTable caption="Layers, base first" columns={columns} rows={sortRows(layers.data.items, columns, sort)} rowKey={(l) => String(l.index)} sort={sort} onSort={(s) => url.set({ sort: s })} />
}

/** How many a layer introduced, and the way to them. */
function Introduced({ count, to, what }: { count: number; to: string; what: string }) {
  return count === 0 ? '0' : <Anchor component={Link} to={to} fz="inherit" aria-label={`${count} ${what}`}>{count}</Anchor>
}
