import { Tabs } from '@mantine/core'
import { Outlet, useLocation, useNavigate, useParams, useSearchParams } from 'react-router'

import { api } from '../api/client'
import { imagePath, parseAt, repositoryPath } from '../registries/reference'
import { shortDigest } from '../ui/format'
import { Waiting } from '../ui/Loading'
import { Page } from '../ui/Page'
import type { ImageContext } from './context'

const tabs = [
  ['overview', 'Overview'], ['vulnerabilities', 'Vulnerabilities'], ['packages', 'Packages'], ['layers', 'Layers'],
  ['remedy', 'Remedy'], ['sources', 'Sources'], ['sbom', 'SBOM'], ['referrers', 'Referrers'], ['history', 'History'],
] as const

/** An image with its parts as tabs, each with an address of its own. */
export function Component() {
  const { digest = '' } = useParams()
  const [params] = useSearchParams()
  const location = useLocation()
  const navigate = useNavigate()
  const image = api.useQuery('get', '/images/{digest}', { params: { path: { digest } } }, {
    refetchInterval: (query) => (query.state.data?.analysis === 'pending' ? 1500 : false),
  })
  const place = image.data?.places[0]
  const at = params.get('at') ?? (place ? `${place.registry}/${place.repository}${place.tags[0] ? `:${place.tags[0]}` : ''}` : '')
  const known = parseAt(at)
  const trail = known ? [
    { to: '/registries', label: 'Registries' }, { to: `/registries/${known.registry}`, label: known.registry },
    { to: repositoryPath(known.registry, known.repository), label: known.repository },
  ] : [{ to: '/registries', label: 'Registries' }]
  const title = at === '' ? shortDigest(digest) : at
  const segment = location.pathname.split('/')[3] || 'overview'
  const current = segment === 'explain' ? 'vulnerabilities' : segment
  const shown = image.data?.kind === 'index' ? tabs.filter(([key]) => ['overview', 'referrers', 'history'].includes(key)) : tabs
  return (
    <Page title={title} trail={trail} lead={<span className="mono break">{digest}</span>}>
      {image.data ? (
        <>
          <Tabs value={current} onChange={(tab) => void navigate(imagePath(digest, at, tab === 'overview' ? '' : tab ?? ''))} mb="md" activateTabWithKeyboard={false}>
            <Tabs.List>
              {shown.map(([key, label]) => <Tabs.Tab key={key} value={key} px="sm">{label}</Tabs.Tab>)}
            </Tabs.List>
            {/* The panel that the tab controls, for those who do not see it. */}
            <Tabs.Panel value={current} pt="md">
              <Outlet context={{ image: image.data, at } satisfies ImageContext} />
            </Tabs.Panel>
          </Tabs>
        </>
      ) : <Waiting query={image} what="The image cannot be shown" />}
    </Page>
  )
}
