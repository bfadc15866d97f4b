import { Code, PasswordInput, Stack, Switch, Text, TextInput } from '@mantine/core'
import { useState } from 'react'

import { api, type Schemas } from '../api/client'
import { Saved } from '../registries/Saved'
import { useAdministrator } from '../shell/session'
import { Waiting } from '../ui/Loading'
import { Page } from '../ui/Page'
import { Panel } from '../ui/Panel'
import { useRounds } from '../ui/rounds'
import { AccountTabs } from './AccountTabs'

type Provider = Schemas['SignInProvider']

export function Component() {
  const administrator = useAdministrator()
  const { round, renew } = useRounds()
  const provider = api.useQuery('get', '/sign-in-provider', undefined, { enabled: administrator })
  const change = api.useMutation('patch', '/sign-in-provider', { onSuccess: renew })
  const reload = () => {
    change.reset()
    void renew()
  }
  return (
    <Page title="Users & API Keys" trail={[{ to: '/administration/system', label: 'Administration' }]}>
      <AccountTabs value="sign-in-provider" administrator={administrator}>
        {!administrator ? <Text size="sm">Administrators set up single sign-on here.</Text>
          : provider.data ? <Form key={round} provider={provider.data} change={change} onReload={reload} onSave={(body) => change.mutate({ body })} />
            : <Waiting query={provider} what="The provider cannot be shown" />}
      </AccountTabs>
    </Page>
  )
}

interface Props {
  provider: Provider
  change: { error: unknown; isPending: boolean; isSuccess: boolean }
  onReload: () => void
  onSave: (body: Schemas['Change-sign-in-providerRequest']) => void
}

function Form({ provider, change, onReload, onSave }: Props) {
  const [enabled, setEnabled] = useState(provider.enabled)
  const [title, setTitle] = useState(provider.title)
  const [issuer, setIssuer] = useState(provider.issuer)
  const [client, setClient] = useState(provider.client_id)
  const [secret, setSecret] = useState('')
  const [scopes, setScopes] = useState(provider.scopes)
  const [name, setName] = useState(provider.name_claim)
  const [groups, setGroups] = useState(provider.groups_claim)
  return (
    <Panel title="Single sign-on">
      <form onSubmit={(e) => {
        e.preventDefault()
        onSave({ enabled, title, issuer, client_id: client, scopes, name_claim: name, groups_claim: groups, ...(secret === '' ? {} : { client_secret: secret }) })
      }}>
        <Stack gap="sm" maw={560}>
          <Text size="sm">People sign in at a provider of OpenID Connect. Signing in with a password works all the same. The provider sends browsers back to <Code>{window.location.origin}{provider.callback_path}</Code>.</Text>
          <Switch label="Offer it on the page of sign-ins" checked={enabled} onChange={(e) => setEnabled(e.currentTarget.checked)} />
          <TextInput label="Title" description="The button says: Sign in with …" value={title} onChange={(e) => setTitle(e.currentTarget.value)} />
          <TextInput label="Issuer" placeholder="https://login.example.com/realms/main" value={issuer} onChange={(e) => setIssuer(e.currentTarget.value)} autoCapitalize="none" spellCheck={false} />
          <TextInput label="Client ID" value={client} onChange={(e) => setClient(e.currentTarget.value)} autoCapitalize="none" spellCheck={false} />
          <PasswordInput label="Client secret" description={provider.has_client_secret ? 'Empty: it stays. Of another issuer it is to be given again.' : 'None is kept yet'} autoComplete="off" value={secret} onChange={(e) => setSecret(e.currentTarget.value)} />
          <TextInput label="Scopes" description="Asked for beside openid" value={scopes} onChange={(e) => setScopes(e.currentTarget.value)} spellCheck={false} />
          <TextInput label="Claim with the name" value={name} onChange={(e) => setName(e.currentTarget.value)} spellCheck={false} />
          <TextInput label="Claim with the groups" description="Groups here that have one of them as their claim get the user as a member" value={groups} onChange={(e) => setGroups(e.currentTarget.value)} spellCheck={false} />
          <Saved change={change} disabled={false} onReload={onReload} />
        </Stack>
      </form>
    </Panel>
  )
}
