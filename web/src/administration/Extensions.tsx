import { Anchor, Stack, Switch, Text } from '@mantine/core'
import { useQueryClient } from '@tanstack/react-query'
import { Link } from 'react-router'

import { api } from '../api/client'
import { useAdministrator } from '../shell/session'
import { Failure } from '../ui/Failure'
import { Waiting } from '../ui/Loading'
import { Page } from '../ui/Page'
import { Panel } from '../ui/Panel'

/** The kinds of vulnerability sources. */
export function Component() {
  const queries = useQueryClient()
  const administrator = useAdministrator()
  const list = api.useQuery('get', '/extensions')
  const change = api.useMutation('patch', '/extensions/{name}', { onSettled: () => queries.invalidateQueries({ queryKey: ['get', '/extensions'] }) })
  return (
    <Page title="Extensions" trail={[{ to: '/administration/system', label: 'Administration' }]}
      lead={<>Kinds of scanners. Of one that is enabled, <Anchor component={Link} to="/administration/vulnerability-sources" fz="inherit">vulnerability sources</Anchor> can be made.</>}
    >
      <Failure what="It was not changed" error={change.error} />
      {list.data ? (
        <Stack gap="md" maw={760}>
          {list.data.items.map((e) => (
            <Panel key={e.name} title={e.title} actions={(
              <Switch
                label={e.enabled ? 'Enabled' : 'Disabled'} aria-label={`${e.title}: enabled`} checked={e.enabled} disabled={!administrator || e.name === 'builtin' || e.name === 'built-in' || change.isPending}
                onChange={(event) => change.mutate({ params: { path: { name: e.name } }, body: { enabled: event.currentTarget.checked } })}
              />
            )}>
              <Text size="sm">{e.description}</Text>
            </Panel>
          ))}
        </Stack>
      ) : <Waiting query={list} what="The extensions cannot be shown" />}
    </Page>
  )
}
