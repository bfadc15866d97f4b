import { Anchor, Group, Stack, Text, TextInput, Button } from '@mantine/core'
import { useState } from 'react'
import { Link, useNavigate } from 'react-router'

import { imagePath } from '../registries/reference'
import { DataTable } from '../ui/DataTable'
import { Empty } from '../ui/Empty'
import { plural, shortDigest } from '../ui/format'
import { Waiting } from '../ui/Loading'
import { Page } from '../ui/Page'
import { Panel } from '../ui/Panel'
import type { Column } from '../ui/rows'
import { Severity } from '../ui/Severity'
import { useUrlState } from '../ui/urlState'
import { bySeverity, difference, type Finding, findingKey, useFindings, usePackages } from './findings'
import { packageChanges, type PackageChange } from './packageChanges'

/** What one image has that another has not. */
export function Component() {
  const url = useUrlState()
  const [from, to] = [url.get('from'), url.get('to')]
  const [a, b] = [url.get('a') || shortDigest(from), url.get('b') || shortDigest(to)]
  return (
    <Page title="Compare images" trail={[{ to: '/registries', label: 'Registries' }]} lead={from && to ? <>From <Anchor component={Link} fz="inherit" to={imagePath(from, url.get('a'))}>{a}</Anchor> to <Anchor component={Link} fz="inherit" to={imagePath(to, url.get('b'))}>{b}</Anchor></> : 'Packages and vulnerabilities that were added, and that are gone.'}
      actions={from && to ? <Button variant="default" component={Link} to={`/compare?from=${to}&to=${from}&a=${encodeURIComponent(url.get('b'))}&b=${encodeURIComponent(url.get('a'))}`}>Swap</Button> : undefined}
    >
      {from && to ? <Differences from={from} to={to} /> : <Choose from={from} to={to} />}
    </Page>
  )
}

function Choose({ from, to }: { from: string; to: string }) {
  const navigate = useNavigate()
  const [a, setA] = useState(from)
  const [b, setB] = useState(to)
  return (
    <Stack maw={640}>
      <Empty title="Choose two images">In a repository's list of tags, tick two and press Compare. Or give their digests here.</Empty>
      <form onSubmit={(e) => { e.preventDefault(); void navigate(`/compare?from=${encodeURIComponent(a)}&to=${encodeURIComponent(b)}`) }}>
        <Stack gap="sm">
          <TextInput label="From" placeholder="sha256:…" required value={a} onChange={(e) => setA(e.currentTarget.value)} />
          <TextInput label="To" placeholder="sha256:…" required value={b} onChange={(e) => setB(e.currentTarget.value)} />
          <Group><Button type="submit">Compare</Button></Group>
        </Stack>
      </form>
    </Stack>
  )
}

const findingColumns: Column<Finding>[] = [
  { key: 'v', title: 'Vulnerability', lead: true, render: (f) => <Anchor component={Link} fz="inherit" to={`/vulnerabilities/${encodeURIComponent(f.vulnerability)}`}>{f.vulnerability}</Anchor> },
  { key: 's', title: 'Severity', brief: true, render: (f) => <Severity value={f.severity} /> },
  { key: 'p', title: 'Package', brief: true, render: (f) => <><b>{f.package.name}</b> <span className="mono">{f.package.version}</span></> },
]

const packageColumns: Column<PackageChange>[] = [
  { key: 'n', title: 'Package', brief: true, lead: true, render: (c) => <b>{c.name}</b> },
  { key: 't', title: 'Type', brief: true, render: (c) => c.type },
  { key: 'f', title: 'From', brief: true, render: (c) => <span className="mono">{c.from.join(', ') || '–'}</span> },
  { key: 'to', title: 'To', brief: true, render: (c) => <span className="mono">{c.to.join(', ') || '–'}</span> },
]

function Differences({ from, to }: { from: string; to: string }) {
  const [f1, f2, p1, p2] = [useFindings(from), useFindings(to), usePackages(from), usePackages(to)]
  const bad = [f1, f2, p1, p2].find((q) => q.data === undefined)
  if (bad !== undefined || !f1.data || !f2.data || !p1.data || !p2.data) return <Waiting query={bad ?? f1} what="The images cannot be compared" />
  const findings = difference(f1.data.items, f2.data.items, (f) => `${f.vulnerability}|${f.package.type}|${f.package.name}`)
  const packages = packageChanges(p1.data.items, p2.data.items)
  return (
    <Stack gap="md">
      <Panel title={`${plural(findings.gone.length, 'finding')} gone`}>
        <DataTable caption="Findings that are gone" columns={findingColumns} rows={findings.gone.toSorted(bySeverity)} rowKey={findingKey} empty={<Text size="sm" c="dimmed">None.</Text>} />
      </Panel>
      <Panel title={`${plural(findings.added.length, 'finding')} added`}>
        <DataTable caption="Findings that were added" columns={findingColumns} rows={findings.added.toSorted(bySeverity)} rowKey={findingKey} empty={<Text size="sm" c="dimmed">None.</Text>} />
      </Panel>
      <Panel title={`${plural(packages.length, 'package')} changed`}>
        <DataTable caption="Packages that changed" columns={packageColumns} rows={packages} rowKey={(c) => `${c.type} ${c.name}`} empty={<Text size="sm" c="dimmed">None: both have the same packages.</Text>} />
      </Panel>
    </Stack>
  )
}
