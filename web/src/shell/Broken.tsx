import { Anchor, Box, Button, Text, Title } from '@mantine/core'
import { isRouteErrorResponse, Link, useRouteError } from 'react-router'

import { Page } from '../ui/Page'

/** What stands in the place of a page that failed. */
export function Broken() {
  const error = useRouteError()
  const missing = isRouteErrorResponse(error) && error.status === 404
  // A file of another version is asked for: the server was upgraded meanwhile.
  const upgraded = error instanceof Error && /dynamically imported module|module script|Unable to preload/i.test(error.message)
  return (
    <Box p="xl" component="main">
      <Title order={1} mb="xs">{missing ? 'There is no such page' : upgraded ? 'The server was upgraded' : 'The page broke'}</Title>
      <Text mb="md">{missing ? 'The address may be mistyped, or the page was moved.'
        : upgraded ? 'This window has pages of the version before. Reload it to get the new ones.'
          : `Reload it. If it breaks again, tell whoever runs this server: ${error instanceof Error ? error.message : String(error)}`}</Text>
      {missing ? <Anchor component={Link} to="/">To the dashboard</Anchor> : <Button onClick={() => window.location.reload()}>Reload</Button>}
    </Box>
  )
}

/** An address within the frame that is no page's. */
export function Missing() {
  return (
    <Page title="There is no such page">
      <Text mb="md">The address may be mistyped, or what it names was deleted.</Text>
      <Anchor component={Link} to="/">To the dashboard</Anchor>
    </Page>
  )
}
