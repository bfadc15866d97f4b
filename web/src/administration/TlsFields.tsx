import { Stack, Switch, Textarea } from '@mantine/core'
import type { ReactNode } from 'react'

/** Which certificates of another server are taken. */
export interface Tls { ca_certificates: string; skip_tls_verify: boolean }

/** The choices that few need, of how another server is reached. */
export function TlsFields({ title = 'TLS', value, onChange, error, children }: { title?: string; value: Tls; onChange: (to: Tls) => void; error?: string; children?: ReactNode }) {
  return (
    <details open={error !== undefined || undefined}>
      <summary>{title}</summary>
      <Stack gap="sm" mt="xs">
        {children}
        <Textarea label="Certificates of authorities" description="PEM; beside the system's" autosize minRows={2} maxRows={6} value={value.ca_certificates} onChange={(e) => onChange({ ...value, ca_certificates: e.currentTarget.value })} error={error} />
        <Switch label="Take any certificate" checked={value.skip_tls_verify} onChange={(e) => onChange({ ...value, skip_tls_verify: e.currentTarget.checked })} />
      </Stack>
    </details>
  )
}
