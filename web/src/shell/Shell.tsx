import { ActionIcon, AppShell, Burger, Group, Menu, NavLink, ScrollArea, Text, Tooltip, UnstyledButton, useMantineColorScheme, VisuallyHidden } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { IconDeviceDesktop, IconLogout, IconMoon, IconSelector, IconSun, IconUser } from '@tabler/icons-react'
import { Suspense, useEffect, useRef } from 'react'
import { Link, Navigate, Outlet, ScrollRestoration, useLocation, useNavigate } from 'react-router'

import { api } from '../api/client'
import { Failure } from '../ui/Failure'
import { Loading } from '../ui/Loading'
import { Mark } from './Mark'
import { useEvents } from './events'
import { isCurrent, sections } from './navigation'
import { useForget, useSession } from './session'
import classes from './Shell.module.css'

/** The frame around all pages: the menu, and who is signed in. */
export function Shell() {
  const session = useSession()
  const location = useLocation()
  const [opened, menu] = useDisclosure(false)
  const close = menu.close
  const main = useRef<HTMLDivElement>(null)
  const path = location.pathname
  useEvents(session.data?.user !== null && session.data?.user !== undefined)
  const before = useRef(path)
  useEffect(() => {
    if (before.current === path) return
    before.current = path
    close()
    // Those who hear the page learn that it is another one.
    main.current?.focus({ preventScroll: true })
  }, [path, close])

  if (session.isPending) return <AppShell padding="md"><AppShell.Main><Loading /></AppShell.Main></AppShell>
  if (session.error !== null) {
    return (
      <AppShell padding="md">
        <AppShell.Main><Failure what="Pratique cannot be shown" error={session.error} retry={() => void session.refetch()} /></AppShell.Main>
      </AppShell>
    )
  }
  const user = session.data.user
  if (!user) return <Navigate to={`/sign-in?next=${encodeURIComponent(path + location.search)}`} replace />
  return (
    <AppShell header={{ height: { base: 48, sm: 0 } }} navbar={{ width: 224, breakpoint: 'sm', collapsed: { mobile: !opened } }} padding={{ base: 'sm', sm: 'lg' }}>
      <a className="skip" href="#content" onClick={(e) => { e.preventDefault(); main.current?.focus() }}>Skip to the content</a>
      <AppShell.Header component="div" role="region" aria-label="Top bar" hiddenFrom="sm" px="sm" className={classes.header}>
        <Group h="100%" gap="sm">
          <Burger opened={opened} onClick={menu.toggle} size="sm" aria-label={opened ? 'Close the menu' : 'Open the menu'} aria-expanded={opened} />
          <Mark size={22} />
        </Group>
      </AppShell.Header>
      <AppShell.Navbar className={classes.navbar} aria-label="Main">
        <AppShell.Section p="md" pb="xs" visibleFrom="sm">
          <Link to="/" className={classes.home}><Mark /><VisuallyHidden>, dashboard</VisuallyHidden></Link>
        </AppShell.Section>
        <AppShell.Section grow component={ScrollArea} px="xs" pt={{ base: 'xs', sm: 0 }} type="auto" viewportProps={{ tabIndex: -1 }}>
          {sections.map((section) => (
            <div key={section.label}>
              {section.label !== '' && <Text size="xs" fw={600} c="dimmed" px="xs" pt="md" pb={4}>{section.label}</Text>}
              {section.entries.filter((e) => !e.administrators || user.administrator).map((e) => (
                <NavLink
                  key={e.to} component={Link} to={e.to} label={e.label} leftSection={<e.icon size={16} stroke={1.6} aria-hidden />}
                  active={isCurrent(e, path)} aria-current={isCurrent(e, path) ? 'page' : undefined} className={classes.entry} onClick={close}
                />
              ))}
            </div>
          ))}
        </AppShell.Section>
        <AppShell.Section p="xs" className={classes.foot}>
          <Account name={user.name} id={user.id} />
        </AppShell.Section>
      </AppShell.Navbar>
      <AppShell.Main id="content" ref={main} tabIndex={-1} className={classes.main}>
        <div className={classes.page}>
          <Suspense fallback={<Loading />}>
            <Outlet />
          </Suspense>
        </div>
      </AppShell.Main>
      <ScrollRestoration />
    </AppShell>
  )
}

function Account({ name, id }: { name: string; id: number }) {
  const forget = useForget()
  const navigate = useNavigate()
  const signOut = api.useMutation('delete', '/session', {
    onSuccess: async () => {
      await forget()
      await navigate('/sign-in')
    },
  })
  return (
    <Group gap={4} wrap="nowrap" justify="space-between">
      <Menu position="top-start" width={200} shadow="md">
        <Menu.Target>
          <UnstyledButton className={classes.account} aria-label={`${name}, your account`}>
            <IconUser size={16} aria-hidden />
            <Text component="span" size="sm" truncate>{name}</Text>
            <IconSelector size={14} aria-hidden />
          </UnstyledButton>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item component={Link} to={`/administration/users?own=${id}`}>Change password</Menu.Item>
          <Menu.Item component={Link} to="/administration/api-keys">Your API keys</Menu.Item>
          <Menu.Item leftSection={<IconLogout size={14} aria-hidden />} onClick={() => signOut.mutate({})}>Sign out</Menu.Item>
        </Menu.Dropdown>
      </Menu>
      <Scheme />
    </Group>
  )
}

const schemes = {
  auto: { icon: IconDeviceDesktop, label: 'Colours: as the system', next: 'light' },
  light: { icon: IconSun, label: 'Colours: light', next: 'dark' },
  dark: { icon: IconMoon, label: 'Colours: dark', next: 'auto' },
} as const

function Scheme() {
  const { colorScheme, setColorScheme } = useMantineColorScheme()
  const { icon: Icon, label, next } = schemes[colorScheme]
  return (
    <Tooltip label={label}>
      <ActionIcon variant="subtle" color="gray" aria-label={`${label}. Change`} onClick={() => setColorScheme(next)}>
        <Icon size={16} aria-hidden />
      </ActionIcon>
    </Tooltip>
  )
}
