import { Anchor, Button, Checkbox, Group, Text } from '@mantine/core'
import { IconArrowsDiff } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { Link, useNavigate, useParams } from 'react-router'

import { client, readAll, type Schemas } from '../api/client'
import { Command } from '../ui/Command'
import { Empty } from '../ui/Empty'
import { bytes, shortDigest } from '../ui/format'
import { Waiting } from '../ui/Loading'
import { LocalList } from '../ui/LocalList'
import { Page } from '../ui/Page'
import type { Column } from '../ui/rows'
import { SeverityCounts } from '../ui/Severity'
import { risk } from '../ui/severity'
import { Verdict } from '../ui/Verdict'
import { When } from '../ui/When'
import { imagePath } from './reference'
import { pullColumns, RepositoryUsage } from './Usage'

type Tag = Schemas['Tag']

export function Component() {
  const { registry = '', '*': repository = '' } = useParams()
  const navigate = useNavigate()
  const [chosen, setChosen] = useState<string[]>([])
  const list = useQuery({
    queryKey: ['get', '/registries/{registry}/repositories/{repository}/tags', registry, repository, 'all'],
    queryFn: ({ signal }) => readAll(async (page_token) => (await client.GET('/registries/{registry}/repositories/{repository}/tags', {
      params: { path: { registry, repository }, query: { page_size: 1000, page_token } }, signal,
    })).data!, 100),
    refetchInterval: (query) => (query.state.data?.items.some((t) => t.image?.analysis === 'pending') ? 2000 : false),
  })
  const name = `${registry}/${repository}`
  const toggle = (tag: string) => setChosen((now) => (now.includes(tag) ? now.filter((t) => t !== tag) : [...now.slice(-1), tag]))
  const columns: Column<Tag>[] = [
    {
      key: 'choose', title: 'Choose', quiet: true, corner: true, width: '32px', render: (t) => (t.image?.kind === 'image'
        ? <Checkbox size="xs" aria-label={`Compare ${t.name}`} checked={chosen.includes(t.name)} onChange={() => toggle(t.name)} /> : null),
    },
    {
      key: 'name', title: 'Tag', lead: true, value: (t) => t.name,
      render: (t) => (
        <>
          {t.image === null ? <b>{t.name}</b> : <Anchor component={Link} to={imagePath(t.digest, `${name}:${t.name}`)} fw={600} fz="inherit">{t.name}</Anchor>}
          <Text size="xs" c="dimmed" className="mono" span display="block">{shortDigest(t.digest)}</Text>
        </>
      ),
    },
    {
      key: 'findings', title: 'Findings', value: (t) => (t.image ? risk(t.image.finding_counts) : -1), numeric: false,
      render: (t) => {
        if (t.image === null) return <Text size="sm" c="dimmed">no image</Text>
        if (t.image.analysis === 'pending') return <Verdict kind="busy">being analysed</Verdict>
        if (t.image.analysis === 'failed') return <Verdict kind="warn">not analysed</Verdict>
        return <SeverityCounts counts={t.image.finding_counts} none="none found" />
      },
    },
    { key: 'platforms', title: 'Platforms', brief: true, value: (t) => t.image?.platforms.join() ?? '', render: (t) => t.image?.platforms.join(', ') ?? '' },
    { key: 'size', title: 'Size', numeric: true, value: (t) => t.image?.size ?? 0, render: (t) => (t.image ? bytes(t.image.size) : '') },
    { key: 'updated', title: 'Pushed', brief: true, value: (t) => Date.parse(t.updated_at), render: (t) => <When time={t.updated_at} /> },
    ...pullColumns<Tag>(),
  ]
  const compare = () => {
    const [from, to] = chosen.map((c) => list.data?.items.find((t) => t.name === c)).filter((t) => t !== undefined)
      .toSorted((a, b) => Date.parse(a.updated_at) - Date.parse(b.updated_at))
    if (from && to) void navigate(`/compare?from=${from.digest}&to=${to.digest}&a=${encodeURIComponent(`${name}:${from.name}`)}&b=${encodeURIComponent(`${name}:${to.name}`)}`)
  }
  return (
    <Page
      title={name} heading={repository} trail={[{ to: '/registries', label: 'Registries' }, { to: `/registries/${registry}`, label: registry }]}
      actions={<Button variant="default" disabled={chosen.length !== 2} onClick={compare} leftSection={<IconArrowsDiff size={15} aria-hidden />}>
        {chosen.length === 2 ? 'Compare' : 'Choose two to compare'}</Button>}
    >
      <RepositoryUsage registry={registry} repository={repository} />
      {list.data ? (
        <LocalList
          caption={`Tags of ${name}`} columns={columns} rows={list.data.items} rowKey={(t) => t.name} text={(t) => `${t.name} ${t.digest}`}
          searchLabel="Search tags and digests" defaultSort="-updated"
          empty={<Empty title="No tags"><Group mb="xs">Push one:</Group><Command>{`docker push ${window.location.host}/${name}:TAG`}</Command></Empty>}
        />
      ) : <Waiting query={list} what={`The tags of ${name} cannot be shown`} />}
    </Page>
  )
}
