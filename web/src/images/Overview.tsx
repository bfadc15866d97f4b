import { Anchor, Button, Group, List, Stack, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { Link } from 'react-router'

import { type Schemas } from '../api/client'
import { imagePath, repositoryPath } from '../registries/reference'
import { ImageUsage } from '../registries/Usage'
import { Command, Copy } from '../ui/Command'
import { DataTable } from '../ui/DataTable'
import { Facts } from '../ui/Facts'
import { bytes, exactly, plural, shortDigest } from '../ui/format'
import { Panel } from '../ui/Panel'
import { Severity, SeverityBar, SeverityCounts } from '../ui/Severity'
import { total } from '../ui/severity'
import { State } from '../ui/State'
import { Verdict } from '../ui/Verdict'
import { When } from '../ui/When'
import { useImage } from './context'
import classes from './Overview.module.css'
import { PromoteDialog } from './PromoteDialog'

export function Component() {
  const { image, at } = useImage()
  const [promoting, dialog] = useDisclosure(false)
  const name = at === '' ? undefined : at.includes(':') ? at : `${at}@${image.digest}`
  return (
    <div className={classes.grid}>
      <Stack gap="md">
        <Panel title="Policy">
          <Policy image={image} at={at} />
        </Panel>
        <Panel title="Findings">
          <Findings image={image} at={at} />
        </Panel>
        {image.images && <Panel title="Platforms"><Children image={image} at={at} /></Panel>}
        {image.warnings.length > 0 && (
          <Panel title="What could not be read">
            <List size="sm">
              {image.warnings.map((w, i) => <List.Item key={i}><code>{w.path}</code> {w.message}</List.Item>)}
            </List>
          </Panel>
        )}
      </Stack>
      <Stack gap="md">
        <Panel title="About">
          <Facts items={[
            ['Kind', image.kind === 'index' ? 'index of images' : 'image'],
            ['Platform', image.os ? [image.os, image.architecture, image.variant].filter(Boolean).join('/') : ''],
            ['Distribution', image.distribution_name ?? image.distribution],
            ['Size', `${bytes(image.size)} in ${plural(image.layer_count, 'layer')}`],
            ['Packages', image.package_count],
            ['First pushed', image.created_at ? <When key="c" time={image.created_at} /> : ''],
            ['Analysed', image.analysed_at ? <When key="a" time={image.analysed_at} /> : ''],
            ['Digest', <span key="d" className="mono">{shortDigest(image.digest)} <Copy value={image.digest} label="Copy the digest" /></span>],
          ]} />
        </Panel>
        {name !== undefined && (
          <Panel title="Pull" actions={<Button size="compact-xs" variant="default" onClick={dialog.open}>Promote</Button>}>
            <Command>{`docker pull ${window.location.host}/${name}`}</Command>
            <Text size="xs" c="dimmed" my={6}>exactly this one:</Text>
            <Command>{`docker pull ${window.location.host}/${at.replace(/:.*$/, '')}@${image.digest}`}</Command>
          </Panel>
        )}
        {promoting && <PromoteDialog image={image} at={at} onClose={dialog.close} />}
        {image.places.length > 0 && <ImageUsage digest={image.digest} />}
        <Panel title="Where it is">
          <Stack gap={4}>
            {image.places.map((p) => (
              <Group key={`${p.registry}/${p.repository}`} gap={6}>
                <Anchor component={Link} to={repositoryPath(p.registry, p.repository)} fz="sm">{p.registry}/{p.repository}</Anchor>
                <Text size="sm" c="dimmed">{p.tags.length === 0 ? 'no tag' : p.tags.join(', ')}</Text>
              </Group>
            ))}
          </Stack>
        </Panel>
      </Stack>
    </div>
  )
}

function Policy({ image, at }: { image: Schemas['Image']; at: string }) {
  if (image.policy.verdicts.length === 0) return <Text size="sm" c="dimmed">It is stored in no repository.</Text>
  return (
    <Stack gap="sm">
      {image.policy.verdicts.map((v) => (
        <div key={`${v.registry}/${v.repository}`}>
          {v.blocked
            ? <Verdict kind="bad">Blocked in {v.registry}/{v.repository}: it cannot be pulled</Verdict>
            : <Verdict kind="good">May be pulled from {v.registry}/{v.repository}</Verdict>}
          {!v.blocked && v.warns && <div><Verdict kind="warn">With warnings</Verdict></div>}
          {v.exception_id !== undefined && <div><Verdict kind="warn">An exception lets it be pulled</Verdict></div>}
          {[...v.reasons, ...v.warnings].length > 0 && (
            <DataTable
              caption="Why" rows={[...v.reasons, ...v.warnings]} rowKey={(r) => [r.kind, r.vulnerability, r.package, r.version, r.message].join(' ')}
              columns={[
                { key: 'v', title: 'Why', lead: true, render: (r) => (r.vulnerability ? <Anchor component={Link} fz="inherit" to={`/vulnerabilities/${r.vulnerability}?image=${image.digest}&at=${encodeURIComponent(at)}`}>{r.vulnerability}</Anchor> : r.message) },
                { key: 's', title: 'Severity', render: (r) => (r.severity ? <Severity value={r.severity} /> : null) },
                { key: 'p', title: 'Package', render: (r) => (r.package ? `${r.package} ${r.version ?? ''}` : null) },
                { key: 'st', title: 'State', render: (r) => (r.state ? <State name={r.state} blocks={v.reasons.includes(r)} /> : null) },
              ]}
            />
          )}
          {v.valid_until && <Text size="xs" c="dimmed" mt={4}>By itself, that can change on {exactly(v.valid_until)}.</Text>}
        </div>
      ))}
    </Stack>
  )
}

function Findings({ image, at }: { image: Schemas['Image']; at: string }) {
  if (image.analysis === 'pending') return <Verdict kind="busy">Being analysed…</Verdict>
  if (image.analysis === 'failed') {
    return <><Verdict kind="warn">It cannot be analysed, so what it holds is unknown.</Verdict><Text size="sm" mt={4}>{image.error}</Text></>
  }
  const n = total(image.finding_counts)
  const coverage = image.coverage
  return (
    <Stack gap="xs">
      {n > 0 && <SeverityBar counts={image.finding_counts} />}
      <Group gap="sm">
        <SeverityCounts counts={image.finding_counts} none="no findings" />
        {n > 0 && image.kind === 'image' && <Anchor component={Link} to={imagePath(image.digest, at, 'vulnerabilities')} fz="sm">See all {n}</Anchor>}
      </Group>
      {coverage && (
        <div>
          {coverage.verdict === 'known' ? <Verdict kind="good">All of it could be judged</Verdict>
            : coverage.verdict === 'partial' ? <Verdict kind="warn">Only a part of it could be judged</Verdict>
              : <Verdict kind="open">It could not be judged: no finding does not mean clean</Verdict>}
          {coverage.reasons.length > 0 && <List size="sm" mt={4}>{coverage.reasons.map((r) => <List.Item key={r}>{r}</List.Item>)}</List>}
        </div>
      )}
    </Stack>
  )
}

function Children({ image, at }: { image: Schemas['Image']; at: string }) {
  return (
    <DataTable
      caption="The images of the index" rows={image.images ?? []} rowKey={(c) => c.digest}
      columns={[
        { key: 'p', title: 'Platform', lead: true, render: (c) => <Anchor component={Link} fz="inherit" to={imagePath(c.digest, at.replace(/:.*$/, ''))}>{[c.os, c.architecture, c.variant].filter(Boolean).join('/') || shortDigest(c.digest)}</Anchor> },
        { key: 'd', title: 'Digest', render: (c) => <span className="mono">{shortDigest(c.digest)}</span> },
        { key: 'a', title: 'Analysis', render: (c) => c.analysis ?? 'not stored here' },
      ]}
    />
  )
}
