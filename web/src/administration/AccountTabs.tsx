import { Tabs } from '@mantine/core'
import type { ReactNode } from 'react'
import { useNavigate } from 'react-router'

import { useMay } from '../shell/session'

type Tab = 'users' | 'groups' | 'roles' | 'robots' | 'api-keys' | 'sign-in-provider'

/** Who may sign in, and what they may do, is one page with several addresses. */
export function AccountTabs({ value, administrator, children }: { value: Tab; administrator: boolean; children: ReactNode }) {
  const navigate = useNavigate()
  const everywhere = useMay('administer')
  return (
    <Tabs value={value} onChange={(tab) => void navigate(`/administration/${tab}`)} activateTabWithKeyboard={false}>
      <Tabs.List mb="md">
        <Tabs.Tab value="users">{administrator ? 'Users' : 'Your account'}</Tabs.Tab>
        {administrator && <Tabs.Tab value="groups">Groups</Tabs.Tab>}
        {everywhere && <Tabs.Tab value="roles">Roles</Tabs.Tab>}
        <Tabs.Tab value="robots">Robots</Tabs.Tab>
        <Tabs.Tab value="api-keys">API keys</Tabs.Tab>
        {administrator && <Tabs.Tab value="sign-in-provider">Single sign-on</Tabs.Tab>}
      </Tabs.List>
      <Tabs.Panel value={value}>{children}</Tabs.Panel>
    </Tabs>
  )
}
