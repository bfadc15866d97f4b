import {
  IconAdjustments, IconBell, IconBox, IconBug, IconCalendarTime, IconCertificate, IconDatabaseImport, IconFileCertificate, IconFileSearch, IconGauge, IconKey, IconListDetails, IconPlugConnected, IconPuzzle, IconRadar2, IconServer2, IconShieldCheck, IconShip,
  type Icon,
} from '@tabler/icons-react'

export interface Entry {
  to: string
  label: string
  icon: Icon
  /** Other paths that belong to it. */
  also?: string[]
  administrators?: boolean
}

export interface Section {
  label: string
  entries: Entry[]
}

/** What there is, in the order of the menu. A capability's entry comes together with its page. */
export const sections: Section[] = [
  {
    label: '',
    entries: [
      { to: '/', label: 'Dashboard', icon: IconGauge },
      { to: '/registries', label: 'Registries', icon: IconBox, also: ['/images', '/compare', '/start'] },
      { to: '/vulnerabilities', label: 'Vulnerabilities', icon: IconBug },
      { to: '/assessments', label: 'Assessments', icon: IconCertificate },
      { to: '/vex-documents', label: 'VEX Documents', icon: IconFileCertificate },
    ],
  },
  {
    label: 'Administration',
    entries: [
      { to: '/administration/extensions', label: 'Extensions', icon: IconPuzzle },
      { to: '/administration/connectors', label: 'Connectors', icon: IconPlugConnected, administrators: true },
      { to: '/administration/vulnerability-sources', label: 'Vulnerability Sources', icon: IconRadar2, administrators: true },
      { to: '/administration/assessment-types', label: 'Assessment Types', icon: IconListDetails },
      { to: '/administration/policies', label: 'Policies', icon: IconShieldCheck },
      { to: '/administration/kubernetes', label: 'Kubernetes', icon: IconShip },
      { to: '/administration/feeds', label: 'Feeds', icon: IconDatabaseImport },
      { to: '/administration/scheduled-jobs', label: 'Scheduled Jobs', icon: IconCalendarTime, also: ['/administration/jobs'] },
      { to: '/administration/webhooks', label: 'Webhooks', icon: IconBell, administrators: true },
      { to: '/administration/users', label: 'Users & API Keys', icon: IconKey, also: ['/administration/api-keys', '/administration/groups', '/administration/roles', '/administration/robots', '/administration/sign-in-provider'] },
      { to: '/administration/advanced-settings', label: 'Advanced Settings', icon: IconAdjustments, administrators: true },
      { to: '/administration/audit-log', label: 'Audit Log', icon: IconFileSearch, administrators: true },
      { to: '/administration/system', label: 'System', icon: IconServer2 },
    ],
  },
]

/** Whether a path belongs to an entry. */
export function isCurrent(entry: Entry, path: string): boolean {
  if (entry.to === '/') return path === '/'
  return [entry.to, ...(entry.also ?? [])].some((p) => path === p || path.startsWith(`${p}/`))
}
