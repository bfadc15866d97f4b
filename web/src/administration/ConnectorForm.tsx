import { Button, Group, NumberInput, PasswordInput, Stack, Switch, Textarea, TextInput } from '@mantine/core'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'

import { api, type Schemas } from '../api/client'
import { Dialog } from '../ui/Dialog'
import { Failure } from '../ui/Failure'
import { useRefresh } from '../ui/refresh'

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
  const [certificates, setCertificates] = useState(connector?.ca_certificates ?? '')
  const [anyCertificate, setAnyCertificate] = useState(connector?.skip_tls_verify ?? false)
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
  const body = {
    url, username, ca_certificates: certificates, skip_tls_verify: anyCertificate, allowed: lines(allowed), denied: lines(denied), trusted_hosts: lines(trusted),
    ...(password === '' ? {} : { password }), ...(timeout === '' ? {} : { timeout_seconds: Number(timeout) }),
    ...(concurrency === '' ? {} : { concurrency: Number(concurrency) }), ...(age === '' ? {} : { tag_seconds: Number(age) }),
  }
  return (
    <Dialog opened onClose={onClose} size="lg" title={connector ? `Edit ${connector.name}` : 'Create connector'}>
      <form onSubmit={(e) => {
        e.preventDefault()
        if (connector) change.mutate({ params: { path: { name: connector.name }, header: { 'If-Match': connector.etag } }, body })
        else create.mutate({ body: { name, ...body } })
      }}>
        <Stack gap="sm">
          {!connector && <TextInput label="Name" description="Lower-case letters and digits, separated by one of . _ -" required value={name} onChange={(e) => setName(e.currentTarget.value)} data-autofocus />}
          <TextInput label="URL" description="Scheme and host. Docker Hub is https://registry-1.docker.io" placeholder="https://registry-1.docker.io" required value={url} onChange={(e) => setURL(e.currentTarget.value)} />
          <Group grow align="flex-end">
            <TextInput label="User name" description="Optional." autoComplete="off" value={username} onChange={(e) => setUsername(e.currentTarget.value)} />
            <PasswordInput label="Password or token" description={connector?.has_password ? 'One is set. Empty: it stays.' : 'Stored encrypted, never shown.'} autoComplete="new-password" value={password} onChange={(e) => setPassword(e.currentTarget.value)} />
          </Group>
          <Textarea label="Allowed repositories" description="One pattern a line; * stands for any text. None: all." autosize minRows={1} maxRows={6} value={allowed} onChange={(e) => setAllowed(e.currentTarget.value)} />
          <Textarea label="Denied repositories" description="One pattern a line. It is not asked for these." autosize minRows={1} maxRows={6} value={denied} onChange={(e) => setDenied(e.currentTarget.value)} />
          <Group grow align="flex-start">
            <NumberInput label="Tags stay fresh for" suffix=" s" min={0} value={age} onChange={setAge} placeholder="300 s" />
            <NumberInput label="Time-out" suffix=" s" min={1} value={timeout} onChange={setTimeout} placeholder="30 s" />
            <NumberInput label="Requests at once" min={1} value={concurrency} onChange={setConcurrency} placeholder="4" />
          </Group>
          <details>
            <summary>Network and TLS</summary>
            <Stack gap="sm" mt="xs">
              <Textarea label="Trusted hosts" description="One a line: hosts in private networks that it may lead to, for tokens or blobs, beside its own." autosize minRows={1} maxRows={6} value={trusted} onChange={(e) => setTrusted(e.currentTarget.value)} />
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
