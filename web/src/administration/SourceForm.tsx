import { Anchor, Group, NumberInput, PasswordInput, Select, Text, TextInput } from '@mantine/core'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { Link } from 'react-router'

import { api, type Schemas, wrongWith } from '../api/client'
import { FormDialog } from '../ui/FormDialog'
import { useRefresh } from '../ui/refresh'
import { type Tls, TlsFields } from './TlsFields'

/** Creates a vulnerability source, or changes one. */
export function SourceForm({ source, onClose }: { source?: Schemas['VulnerabilitySource']; onClose: () => void }) {
  const queries = useQueryClient()
  const refresh = useRefresh()
  const extensions = api.useQuery('get', '/extensions')
  const choices = (extensions.data?.items ?? []).filter((e) => e.enabled && e.name !== 'builtin' && e.name !== 'built-in')
  const [name, setName] = useState(source?.name ?? '')
  const [chosen, setExtension] = useState(source?.extension ?? '')
  const extension = chosen || choices[0]?.name || ''
  const [url, setURL] = useState(source?.url ?? '')
  const [header, setHeader] = useState('')
  const [tls, setTls] = useState<Tls>({ ca_certificates: source?.ca_certificates ?? '', skip_tls_verify: source?.skip_tls_verify ?? false })
  const [timeout, setTimeout] = useState<number | string>(source?.timeout_seconds ?? '')
  const [concurrency, setConcurrency] = useState<number | string>(source?.concurrency ?? '')
  const done = { onSuccess: async () => {
    await queries.invalidateQueries({ queryKey: ['get', '/vulnerability-sources'] })
    onClose()
  } }
  const create = api.useMutation('post', '/vulnerability-sources', done)
  const change = api.useMutation('patch', '/vulnerability-sources/{name}', done)
  const error = create.error ?? change.error
  const wrong = (field: string) => wrongWith(field, error)
  const body = {
    url, ...tls,
    ...(header === '' ? {} : { authorization_header: header }),
    ...(timeout === '' ? {} : { timeout_seconds: Number(timeout) }), ...(concurrency === '' ? {} : { concurrency: Number(concurrency) }),
  }
  return (
    <FormDialog size="lg" title={source ? `Edit ${source.name}` : 'Create vulnerability source'} busy={create.isPending || change.isPending} error={error}
      onClose={onClose} reload={() => void refresh().then(onClose)} onSubmit={() => {
        if (source) change.mutate({ params: { path: { name: source.name }, header: source.etag === undefined ? {} : { 'If-Match': source.etag } }, body })
        else create.mutate({ body: { name, extension, ...body } })
      }}
    >
      {!source && (choices.length === 0 && extensions.data ? (
        <Text size="sm">No extension is enabled of which a source can be made. Enable one under <Anchor component={Link} to="/administration/extensions" fz="inherit">Extensions</Anchor>.</Text>
      ) : <Select label="Extension" data={choices.map((e) => ({ value: e.name, label: e.title }))} value={extension} onChange={(v) => setExtension(v ?? '')} error={wrong('extension')} />)}
      {!source && <TextInput label="Name" description="Lower-case letters and digits, separated by one of . _ -" required value={name} onChange={(e) => setName(e.currentTarget.value)} error={wrong('name')} data-autofocus />}
      <TextInput label="Host and port" description="As in http://localhost:6060/" placeholder="http://localhost:6060/" required value={url} onChange={(e) => setURL(e.currentTarget.value)} error={wrong('url')} />
      <PasswordInput label="API Authorization Header" description={source?.has_authorization_header ? 'One is set. Empty: it stays as it is.' : 'Optional. It is passed on as the Authorization header, stored encrypted, and never shown.'} autoComplete="off" value={header} onChange={(e) => setHeader(e.currentTarget.value)} error={wrong('authorization_header')} aria-invalid={wrong('authorization_header') !== undefined} />
      <Group grow align="flex-start">
        <NumberInput label="Time-out of a scan" suffix=" s" min={1} value={timeout} onChange={setTimeout} placeholder="as usual" error={wrong('timeout_seconds')} />
        <NumberInput label="Images at once" min={1} value={concurrency} onChange={setConcurrency} placeholder="as usual" error={wrong('concurrency')} />
      </Group>
      <TlsFields value={tls} onChange={setTls} error={wrong('ca_certificates')} />
    </FormDialog>
  )
}
