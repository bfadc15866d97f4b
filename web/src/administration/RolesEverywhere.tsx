import { Roles } from '../registries/Roles'
import { useAdministrator } from '../shell/session'
import { Page } from '../ui/Page'
import { AccountTabs } from './AccountTabs'

export function Component() {
  return (
    <Page title="Users & API Keys" trail={[{ to: '/administration/system', label: 'Administration' }]}>
      <AccountTabs value="roles" administrator={useAdministrator()}><Roles registry="" /></AccountTabs>
    </Page>
  )
}
