import { Anchor, Button, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { IconUpload } from '@tabler/icons-react'
import { keepPreviousData } from '@tanstack/react-query'
import { Link } from 'react-router'

import { api, type Schemas } from '../api/client'
import { useAdministrator } from '../shell/session'
import { DataTable } from '../ui/DataTable'
import { Empty } from '../ui/Empty'
import { shortDigest } from '../ui/format'
import { Waiting } from '../ui/Loading'
import { Page } from '../ui/Page'
import { Pager } from '../ui/Pager'
import type { Column } from '../ui/rows'
import { useUrlState } from '../ui/urlState'
import { Verdict } from '../ui/Verdict'
import { When } from '../ui/When'
import { UploadVex } from './UploadVex'

type Document = Schemas['VEXDocument']

const formats: Record<Document['format'], string> = { openvex: 'OpenVEX', csaf: 'CSAF', cyclonedx: 'CycloneDX', '': 'unknown' }

const columns: Column<Document>[] = [
  { key: 'name', title: 'Document', lead: true, render: (d) => <><Anchor component={Link} fz="inherit" fw={600} to={`/vex-documents/${d.id}`} className="break">{d.identifier || shortDigest(d.digest)}</Anchor>{d.error && <div><Verdict kind="bad">{d.error}</Verdict></div>}</> },
  { key: 'author', title: 'Author', render: (d) => d.author },
  { key: 'format', title: 'Format', brief: true, render: (d) => formats[d.format] },
  { key: 'statements', title: 'Statements', numeric: true, render: (d) => d.statement_count },
  { key: 'about', title: 'About', render: (d) => (d.image ? <span className="mono">{shortDigest(d.image)}</span> : <Text span size="sm" c="dimmed">its products</Text>) },
  { key: 'origin', title: 'Came', brief: true, render: (d) => (d.origin === 'upload' ? 'uploaded' : `attached in ${d.repository}`) },
  { key: 'by', title: 'By', brief: true, render: (d) => <>{d.brought_by}, <When time={d.created_at} /></> },
]

/** The VEX documents that assess stored images. */
export function Component() {
  const url = useUrlState()
  const administrator = useAdministrator()
  const [uploading, upload] = useDisclosure(false)
  const size = Number(url.get('size')) || 50
  const list = api.useQuery('get', '/vex-documents', { params: { query: { page_size: size, page_token: url.get('token') || undefined } } }, { placeholderData: keepPreviousData })
  return (
    <Page title="VEX Documents" lead="What publishers say does not affect them, or is fixed. What they say of packages in stored images assesses it, where nobody here has decided otherwise."
      actions={administrator ? <Button leftSection={<IconUpload size={15} aria-hidden />} onClick={upload.open}>Upload</Button> : undefined}
    >
      {list.data ? (
        <>
          <DataTable caption="VEX documents, the newest first" columns={columns} rows={list.data.items} rowKey={(d) => String(d.id)}
            empty={<Empty title="No VEX documents">{administrator ? 'Upload one here, or push' : 'Push'} it as a referrer of the image that it is about: <code>oras attach</code> or <code>cosign attest</code>. OpenVEX, CSAF and CycloneDX are read.</Empty>} />
          <Pager size={size} onSize={(n) => url.set({ size: n === 50 ? '' : String(n) })} previousLabel="First page"
            onPrevious={url.get('token') ? () => url.set({ token: '' }, { push: true }) : undefined}
            onNext={list.data.next_page_token ? () => url.set({ token: list.data.next_page_token }, { push: true }) : undefined} />
        </>
      ) : <Waiting query={list} what="The VEX documents cannot be shown" />}
      {uploading && <UploadVex onClose={upload.close} />}
    </Page>
  )
}
