import { Anchor, Button, Group, NumberInput, PasswordInput, Select, Stack, Switch, Text, Textarea, TextInput } from '@mantine/core'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { Link } from 'react-router'

import { Dialog } from '../ui/Dialog'
import { api, type Schemas } from '../api/client'
import { Failure } from '../ui/Failure'
import { useRefresh } from '../ui/refresh'

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
  const [certificates, setCertificates] = useState(source?.ca_certificates ?? '')
  const [anyCertificate, setAnyCertificate] = useState(source?.skip_tls_verify ?? false)
  const [timeout, setTimeout] = useState<number | string>(source?.timeout_seconds ?? '')
  const [concurrency, setConcurrency] = useState<number | string>(source?.concurrency ?? '')
  const done = { onSuccess: async () => {
    await queries.invalidateQueries({ queryKey: ['get', '/vulnerability-sources'] })
    onClose()
  } }
  const create = api.useMutation('post', '/vulnerability-sources', done)
  const change = api.useMutation('patch', '/vulnerability-sources/{name}', done)
  const body = {
    url, ca_certificates: certificates, skip_tls_verify: anyCertificate,
    ...(header === '' ? {} : { authorization_header: header }),
    ...(timeout === '' ? {} : { timeout_seconds: Number(timeout) }), ...(concurrency === '' ? {} : { concurrency: Number(concurrency) }),
  }
  return (
    <Dialog opened onClose={onClose} size="lg" title={source ? `Edit ${source.name}` : 'Create vulnerability source'}>
      <form onSubmit={(e) => {
        e.preventDefault()
        if (source) change.mutate({ params: { path: { name: source.name }, header: source.etag === undefined ? {} : { 'If-Match': source.etag } }, body })
        else create.mutate({ body: { name, extension, ...body } })
      }}>
        <Stack gap="sm">
          {!source && (choices.length === 0 && extensions.data ? (
            <Text size="sm">No extension is enabled of which a source can be made. Enable one under <Anchor component={Link} to="/administration/extensions" fz="inherit">Extensions</Anchor>.</Text>
          ) : <Select label="Extension" data={choices.map((e) => ({ value: e.name, label: e.title }))} value={extension} onChange={(v) => setExtension(v ?? '')} />)}
          {!source && <TextInput label="Name" description="Lower-case letters and digits, separated by one of . _ -" required value={name} onChange={(e) => setName(e.currentTarget.value)} data-autofocus />}
          <TextInput label="Host and port" description="As in http://localhost:6060/" placeholder="http://localhost:6060/" required value={url} onChange={(e) => setURL(e.currentTarget.value)} />
          <PasswordInput label="API Authorization Header" description={source?.has_authorization_header ? 'One is set. Empty: it stays as it is.' : 'Optional. It is passed on as the Authorization header, stored encrypted, and never shown.'} autoComplete="off" value={header} onChange={(e) => setHeader(e.currentTarget.value)} />
          <Group grow align="flex-start">
            <NumberInput label="Time-out of a scan" suffix=" s" min={1} value={timeout} onChange={setTimeout} placeholder="as usual" />
            <NumberInput label="Images at once" min={1} value={concurrency} onChange={setConcurrency} placeholder="as usual" />
          </Group>
          <details>
            <summary>TLS</summary>
            <Stack gap="sm" mt="xs">
              <Textarea label="Certificates of authorities" description="PEM; beside the system's" autosize minRows={2} maxRows={6} value={certificates} onChange={(e) => setCertificates(e.currentTarget.value)} />
              <Switch label="Take any certificate" checked={anyCertificate} onChange={(e) => setAnyCertificate(e.currentTarget.checked)} />
            </Stack>
          </details>
          <Failure what="It was not saved" error={create.error ?? change.error} reload={() => void refresh().then(onClose)} />
          <Group justify="flex-end"><Button variant="default" onClick={onClose}>Cancel</Button><Button type="submit" loading={create.isPending || change.isPending}>Save</Button></Group>
        </Stack>
      </form>
    </Dialog>
  )
}
