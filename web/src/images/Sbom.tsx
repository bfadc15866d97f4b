import { Anchor, Button, Group, Stack, Text } from '@mantine/core'
import { IconDownload } from '@tabler/icons-react'
import { Link } from 'react-router'

import { imagePath } from '../registries/reference'
import { Command } from '../ui/Command'
import { plural } from '../ui/format'
import { Panel } from '../ui/Panel'
import { Verdict } from '../ui/Verdict'
import { useImage } from './context'

const formats = [
  ['cyclonedx', 'CycloneDX 1.6', 'Read by most scanners and by Dependency-Track.'],
  ['spdx', 'SPDX 2.3', 'Asked for by many contracts and authorities.'],
] as const

export function Component() {
  const { image, at } = useImage()
  if (image.analysis === 'pending') return <Verdict kind="busy">Being analysed. This page follows by itself.</Verdict>
  return (
    <Stack gap="md" maw={760}>
      <Panel title="Software bill of materials">
        <Text size="sm" mb="sm">
          {plural(image.package_count, 'package')}, each with its purl and the file and layer that prove it. <Anchor component={Link} to={imagePath(image.digest, at, 'packages')} fz="inherit">See them here</Anchor>.
        </Text>
        <Stack gap="sm">
          {formats.map(([key, name, use]) => (
            <Group key={key} justify="space-between">
              <div><Text size="sm" fw={600}>{name}</Text><Text size="sm" c="dimmed">{use}</Text></div>
              <Button component="a" href={`/api/v1/images/${image.digest}/sbom?format=${key}`} download variant="default" aria-label={`Download ${name}`} leftSection={<IconDownload size={15} aria-hidden />}>Download</Button>
            </Group>
          ))}
        </Stack>
      </Panel>
      <Panel title="From a terminal">
        <Command>{`curl -u api:KEY ${window.location.origin}/api/v1/images/${image.digest}/sbom?format=cyclonedx`}</Command>
      </Panel>
      <Panel title="What is decided, as VEX">
        <Text size="sm" mb="sm">The assessments of the image's findings, for other programs.</Text>
        <Group>
          {(['openvex', 'cyclonedx'] as const).map((f) => (
            <Button key={f} component="a" href={`/api/v1/images/${image.digest}/vex?format=${f}`} download variant="default" leftSection={<IconDownload size={15} aria-hidden />}>{f === 'openvex' ? 'OpenVEX' : 'CycloneDX VEX'}</Button>
          ))}
        </Group>
      </Panel>
    </Stack>
  )
}
