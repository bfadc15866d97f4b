import { Button, FileInput, Group, Select, Stack, Switch, Text } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'

import { api, client, type Schemas } from '../api/client'
import { DataTable } from '../ui/DataTable'
import { Dialog } from '../ui/Dialog'
import { Failure } from '../ui/Failure'
import { number, plural } from '../ui/format'
import { Verdict } from '../ui/Verdict'
import { words } from './Effect'

type Line = Schemas['ImportedLine']

const outcomes: Record<Line['outcome'], { kind: 'good' | 'warn' | 'bad'; text: string }> = {
  new: { kind: 'good', text: 'new' }, replaces: { kind: 'good', text: 'takes the place of one' }, waits: { kind: 'warn', text: 'waits for what it names' },
  same: { kind: 'good', text: 'is there already' }, skipped: { kind: 'warn', text: 'left out' }, bad: { kind: 'bad', text: 'bad' },
}

/** Takes over decisions that were made elsewhere: says first what becomes of each line. */
export function ImportDialog({ onClose }: { onClose: () => void }) {
  const queries = useQueryClient()
  const types = api.useQuery('get', '/assessment-types')
  const registries = api.useQuery('get', '/registries', { params: { query: { page_size: 1000 } } })
  const [file, setFile] = useState<File | null>(null)
  const [type, setType] = useState<string | null>(null)
  const [registry, setRegistry] = useState<string | null>(null)
  const [expire, setExpire] = useState(false)
  const [skip, setSkip] = useState(false)
  const load = useMutation({
    mutationFn: async (dry: boolean) => {
      const text = await file?.text() ?? ''
      const { data } = await client.POST('/assessments/import', {
        params: { query: {
          dry_run: dry, skip_bad: skip, type_expiry: expire, ...(type === null ? {} : { type }),
          ...(registry === null ? {} : { scope_kind: 'registry' as const, scope_value: registry, registry }),
        }, header: { 'Content-Type': 'application/octet-stream' } },
        body: text, bodySerializer: (b) => b as string,
      })
      return data
    },
    onSuccess: async (result) => {
      if (result?.applied) await queries.invalidateQueries({ predicate: (q) => q.queryKey[1] !== '/session' })
    },
  })
  const again = () => load.reset()
  const result = load.data
  const bad = result?.counts.bad ?? 0
  return (
    <Dialog opened onClose={onClose} size="xl" title="Import assessments">
      <form onSubmit={(e) => { e.preventDefault(); load.mutate(result === undefined) }}>
        <Stack gap="sm">
          <FileInput label="File" description="CSV, ProGet's too; .trivyignore, also as YAML; Grype's ignore rules; clair-scanner's whitelist; OpenVEX, CSAF or CycloneDX VEX" placeholder="Choose a file" value={file} onChange={(f) => { setFile(f); again() }} />
          <Group grow align="flex-end">
            <Select label="Lines without a type become" placeholder="as its format means" clearable data={(types.data?.items ?? []).map((t) => t.name)} value={type} onChange={(v) => { setType(v); again() }} />
            <Select label="Lines without a scope hold in" placeholder="everywhere" clearable data={(registries.data?.items ?? []).map((r) => ({ value: r.name, label: `the registry ${r.name}` }))} value={registry} onChange={(v) => { setRegistry(v); again() }} />
          </Group>
          <Switch label="Lines without an expiry end as their type says" checked={expire} onChange={(e) => { setExpire(e.currentTarget.checked); again() }} />
          <Switch label="Import the rest where some lines are bad" checked={skip} onChange={(e) => { setSkip(e.currentTarget.checked); again() }} />
          <Failure what="It was not imported" error={load.error} />
          {result && (
            <>
              <Text size="sm" role="status">
                {result.applied ? 'Imported: ' : bad > 0 && !skip ? 'Nothing can be imported as it is: ' : 'It would come to this: '}
                {plural(result.counts.new + result.counts.replaces, 'decision')}, {number(result.counts.waits)} that wait, {number(result.counts.same)} that are there, {number(result.counts.skipped)} left out, {plural(bad, 'bad line')}.
                {result.preview && ` ${words(result.preview)}`}
              </Text>
              <div style={{ maxHeight: 320, overflow: 'auto' }}>
                <DataTable caption="What becomes of each line" rows={result.lines.toSorted((a, b) => Number(b.outcome === 'bad') - Number(a.outcome === 'bad')).slice(0, 200)} rowKey={(l) => `${l.line} ${l.text}`} columns={[
                  { key: 'line', title: 'Line', numeric: true, render: (l) => l.line },
                  { key: 'text', title: 'Text', lead: true, render: (l) => <code className="break">{l.text}</code> },
                  { key: 'outcome', title: 'Becomes', render: (l) => <Verdict kind={outcomes[l.outcome].kind}>{outcomes[l.outcome].text}</Verdict> },
                  { key: 'why', title: 'Why', render: (l) => <span className="break">{[l.reason, l.note].filter(Boolean).join('; ')}</span> },
                ]} />
              </div>
            </>
          )}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>{result?.applied ? 'Close' : 'Cancel'}</Button>
            {!result?.applied && <Button type="submit" disabled={file === null || (result !== undefined && bad > 0 && !skip)} loading={load.isPending}>{result === undefined ? 'See what becomes of it' : 'Import'}</Button>}
          </Group>
        </Stack>
      </form>
    </Dialog>
  )
}
