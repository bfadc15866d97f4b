import { Anchor, Button, List, Stack, Text } from '@mantine/core'
import { Link, useParams } from 'react-router'

import { api, type Schemas } from '../api/client'
import { imagePath } from '../registries/reference'
import { Empty } from '../ui/Empty'
import { Facts } from '../ui/Facts'
import { exactly, plural } from '../ui/format'
import { Waiting } from '../ui/Loading'
import { Panel } from '../ui/Panel'
import { State } from '../ui/State'
import { Verdict } from '../ui/Verdict'
import { useImage } from './context'
import { instruction } from './instruction'

/** Why an image is, or is not, affected: from the file to the statement. */
export function Component() {
  const { name = '' } = useParams()
  const { image, at } = useImage()
  const why = api.useQuery('get', '/images/{digest}/explain/{name}', { params: { path: { digest: image.digest, name } } })
  return (
    <Stack gap="md">
      <div>
        <Anchor component={Link} to={imagePath(image.digest, at, 'vulnerabilities')} fz="sm">All findings of the image</Anchor>
      </div>
      {why.data ? <Why why={why.data} /> : <Waiting query={why} what="The explanation cannot be shown" />}
    </Stack>
  )
}

function Why({ why }: { why: Schemas['ImageExplanation'] }) {
  return (
    <>
      <Panel title={`${why.vulnerability}: why`} actions={<Button component={Link} to={`/vulnerabilities/${encodeURIComponent(why.vulnerability)}`} size="xs" variant="default">All about it</Button>}>
        {why.verdict === 'affected' ? <Verdict kind="bad">The image is affected</Verdict> : why.verdict === 'not_affected' ? <Verdict kind="good">The image is not affected</Verdict> : <Verdict kind="open">It cannot be told whether the image is affected</Verdict>}
        <Text size="sm" mt={4}>{why.reason}</Text>
        {why.coverage.verdict !== 'known' && why.coverage.reasons.length > 0 && (
          <List size="sm" mt="xs">{why.coverage.reasons.map((r) => <List.Item key={r}>{r}</List.Item>)}</List>
        )}
        <Text size="xs" c="dimmed" mt="xs">{plural(why.advisory_count, 'statement')} on it, on whatever package.</Text>
      </Panel>
      {why.packages.length === 0 && <Empty title="No package that the statements speak of">None of the image's packages has a name that the statements on {why.vulnerability} name.</Empty>}
      {why.packages.map((p) => (
        <Panel key={`${p.package.name} ${p.package.version} ${p.path}`} title={`${p.package.name} ${p.package.version}`}>
          <Facts items={[
            ['Outcome', <b key="o">{words[p.outcome]}</b>],
            ['Because', p.reason],
            ['Proved by', <code key="p">{p.path}{p.line ? `:${p.line}` : ''}{p.record ? ` (${p.record})` : ''}</code>],
            ['Came with', <code key="l">{`layer ${p.layer_index}: ${instruction(p.created_by).word} ${instruction(p.created_by).rest}`}</code>],
            ['Owned by', p.owner],
            ['State', p.places.length > 0 ? <Stack gap={2} key="s">{p.places.map((s) => <span key={`${s.registry}/${s.repository}`}><State name={s.state} blocks={s.blocks} /> in {s.registry}/{s.repository}</span>)}</Stack> : ''],
          ]} />
          {p.statements.map((s, i) => (
            <div key={i} style={{ borderTop: '1px solid var(--line)', marginTop: 8, paddingTop: 8 }}>
              <Text size="sm" fw={600}>{s.feed} says: {words[s.outcome]}</Text>
              <Facts items={[
                ['Compared', <code key="c">{s.reason}</code>],
                ['Statement', [s.id, s.ecosystem, s.package].filter(Boolean).join(' · ')],
                ['Note', s.note],
                ['Read from', s.url ? <span key="u" className="break">{s.url}</span> : s.part],
                ['Confirmed', s.checked_at ? exactly(s.checked_at) : ''],
              ]} />
            </div>
          ))}
        </Panel>
      ))}
    </>
  )
}

const words: Record<Schemas['ExplainedPackage']['outcome'], string> = {
  affected: 'affected', fixed: 'fixed in the installed version', before: 'older than the flaw', not_affected: 'not affected',
  undetermined: 'cannot be told', withdrawn: 'withdrawn', elsewhere: 'about another package',
}
