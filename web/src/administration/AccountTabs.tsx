import { Tabs } from '@mantine/core'
import type { ReactNode } from 'react'
import { useNavigate } from 'react-router'

/** Users and API keys are one page with two addresses. */
export function AccountTabs({ value, administrator, children }: { value: 'users' | 'api-keys'; administrator: boolean; children: ReactNode }) {
  const navigate = useNavigate()
  return (
    <Tabs value={value} onChange={(tab) => void navigate(`/administration/${tab}`)} activateTabWithKeyboard={false}>
      <Tabs.List mb="md">
        <Tabs.Tab value="users">{administrator ? 'Users' : 'Your account'}</Tabs.Tab>
        <Tabs.Tab value="api-keys">API keys</Tabs.Tab>
      </Tabs.List>
      <Tabs.Panel value={value}>{children}</Tabs.Panel>
    </Tabs>
  )
}
