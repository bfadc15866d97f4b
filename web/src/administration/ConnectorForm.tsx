import { Group, NumberInput, PasswordInput, Textarea, TextInput } from '@mantine/core'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'

import { api, type Schemas, wrongWith } from '../api/client'
import { FormDialog } from '../ui/FormDialog'
import { useRefresh } from '../ui/refresh'
import { type Tls, TlsFields } from './TlsFields'

/** Reads a list that is written in lines. */
const lines = (text: string) => text.split('\n').map((line) => line.trim()).filter((line) => line !== '')

/** Creates a connector, or changes one. */
export function ConnectorForm({ connector, onClose }: { connector?: Schemas['Connector']; onClose: () => void }) {
  const queries = useQueryClient()
  const refresh = useRefresh()
  const [name, setName] = useState(connector?.name ?? '')
  const [url, setURL] = useState(connector?.url ?? '')
  const [username, setUsername] = useState(connector?.username ?? '')
  const [password, setPassword] = useState('')
  const [tls, setTls] = useState<Tls>({ ca_certificates: connector?.ca_certificates ?? '', skip_tls_verify: connector?.skip_tls_verify ?? false })
  const [timeout, setTimeout] = useState<number | string>(connector?.timeout_seconds ?? '')
  const [concurrency, setConcurrency] = useState<number | string>(connector?.concurrency ?? '')
  const [age, setAge] = useState<number | string>(connector?.tag_seconds ?? '')
  const [allowed, setAllowed] = useState(connector?.allowed.join('\n') ?? '')
  const [denied, setDenied] = useState(connector?.denied.join('\n') ?? '')
  const [trusted, setTrusted] = useState(connector?.trusted_hosts.join('\n') ?? '')
  const done = { onSuccess: async () => {
    await queries.invalidateQueries({ queryKey: ['get', '/connectors'] })
    onClose()
  } }
  const create = api.useMutation('post', '/connectors', done)
  const change = api.useMutation('patch', '/connectors/{name}', done)
  const error = create.error ?? change.error
  const wrong = (field: string) => wrongWith(field, error)
  const body = {
    url, username, ...tls, allowed: lines(allowed), denied: lines(denied), trusted_hosts: lines(trusted),
    ...(password === '' ? {} : { password }), ...(timeout === '' ? {} : { timeout_seconds: Number(timeout) }),
    ...(concurrency === '' ? {} : { concurrency: Number(concurrency) }), ...(age === '' ? {} : { tag_seconds: Number(age) }),
  }
  return (
    <FormDialog size="lg" title={connector ? `Edit ${connector.name}` : 'Create connector'} busy={create.isPending || change.isPending} error={error}
      onClose={onClose} reload={() => void refresh().then(onClose)} onSubmit={() => {
        if (connector) change.mutate({ params: { path: { name: connector.name }, header: { 'If-Match': connector.etag } }, body })
        else create.mutate({ body: { name, ...body } })
      }}
    >
      {!connector && <TextInput label="Name" description="Lower-case letters and digits, separated by one of . _ -" required value={name} onChange={(e) => setName(e.currentTarget.value)} error={wrong('name')} data-autofocus />}
      <TextInput label="URL" description="Scheme and host. Docker Hub is https://registry-1.docker.io" placeholder="https://registry-1.docker.io" required value={url} onChange={(e) => setURL(e.currentTarget.value)} error={wrong('url')} />
      <Group grow align="flex-start">
        <TextInput label="User name" description="Optional." autoComplete="off" value={username} onChange={(e) => setUsername(e.currentTarget.value)} error={wrong('username')} />
        <PasswordInput label="Password or token" description={connector?.has_password ? 'One is set. Empty: it stays.' : 'Stored encrypted, never shown.'} autoComplete="new-password" value={password} onChange={(e) => setPassword(e.currentTarget.value)} error={wrong('password')} aria-invalid={wrong('password') !== undefined} />
      </Group>
      <Textarea label="Allowed repositories" description="One pattern a line; * stands for any text. None: all." autosize minRows={1} maxRows={6} value={allowed} onChange={(e) => setAllowed(e.currentTarget.value)} error={wrong('allowed')} />
      <Textarea label="Denied repositories" description="One pattern a line. It is not asked for these." autosize minRows={1} maxRows={6} value={denied} onChange={(e) => setDenied(e.currentTarget.value)} error={wrong('denied')} />
      <Group grow align="flex-start">
        <NumberInput label="Tags stay fresh for" suffix=" s" min={0} value={age} onChange={setAge} placeholder="300 s" error={wrong('tag_seconds')} />
        <NumberInput label="Time-out" suffix=" s" min={1} value={timeout} onChange={setTimeout} placeholder="30 s" error={wrong('timeout_seconds')} />
        <NumberInput label="Requests at once" min={1} value={concurrency} onChange={setConcurrency} placeholder="4" error={wrong('concurrency')} />
      </Group>
      <TlsFields title="Network and TLS" value={tls} onChange={setTls} error={wrong('ca_certificates')}>
        <Textarea label="Trusted hosts" description="One a line: hosts in private networks that it may lead to, for tokens or blobs, beside its own." autosize minRows={1} maxRows={6} value={trusted} onChange={(e) => setTrusted(e.currentTarget.value)} error={wrong('trusted_hosts')} />
      </TlsFields>
    </FormDialog>
  )
}
