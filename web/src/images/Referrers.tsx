import { Text } from '@mantine/core'

import { api, type Schemas } from '../api/client'
import { Copy } from '../ui/Command'
import { Empty } from '../ui/Empty'
import { shortDigest } from '../ui/format'
import { Waiting } from '../ui/Loading'
import { LocalList } from '../ui/LocalList'
import type { Column } from '../ui/rows'
import { When } from '../ui/When'
import { useImage } from './context'
import { kindOfReferrer } from './referrer'

type Referrer = Schemas['Referrer']

const columns: Column<Referrer>[] = [
  { key: 'kind', title: 'What it is', lead: true, value: (r) => kindOfReferrer(r.artifact_type), render: (r) => <><b>{kindOfReferrer(r.artifact_type)}</b><Text size="xs" c="dimmed" component="div" className="mono break">{r.artifact_type || r.media_type}</Text></> },
  { key: 'where', title: 'In', value: (r) => `${r.registry}/${r.repository}`, render: (r) => `${r.registry}/${r.repository}` },
  { key: 'by', title: 'Pushed by', value: (r) => r.pushed_by, render: (r) => r.pushed_by || 'Pratique' },
  { key: 'at', title: 'Pushed', value: (r) => Date.parse(r.pushed_at), render: (r) => <When time={r.pushed_at} /> },
  { key: 'digest', title: 'Digest', render: (r) => <span className="mono" style={{ whiteSpace: 'nowrap' }}>{shortDigest(r.digest)} <Copy value={r.digest} label="Copy the digest" /></span> },
]

export function Component() {
  const { image } = useImage()
  const list = api.useQuery('get', '/images/{digest}/referrers', { params: { path: { digest: image.digest } } })
  if (list.data === undefined) return <Waiting query={list} what="The referrers cannot be shown" />
  return (
    <LocalList
      caption="What refers to the image" columns={columns} rows={list.data.items} rowKey={(r) => `${r.registry}/${r.repository}@${r.digest}`}
      text={(r) => `${r.artifact_type} ${r.digest} ${r.repository}`} searchLabel="Search referrers" defaultSort="-at"
      empty={(
        <Empty title="Nothing refers to this image">
          Signatures (cosign), bills of materials and VEX documents that are pushed with this image as their subject are listed here; VEX
          and bills count for its findings, too. Bills can be made by the registry itself: see <i>Manage Registry</i>. From a terminal: <code>oras attach</code> or <code>cosign sign</code>.
        </Empty>
      )}
    />
  )
}
