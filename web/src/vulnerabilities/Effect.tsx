import { Alert, Text } from '@mantine/core'

import { api, type Schemas } from '../api/client'
import { plural } from '../ui/format'

/** What an assessment would change: for one vulnerability, the places that it would cover. */
export function Effect({ vulnerabilities, type, scope }: { vulnerabilities: string[]; type: string; scope: Schemas['Scope'] }) {
  const types = api.useQuery('get', '/assessment-types')
  const name = vulnerabilities[0] ?? ''
  const about = api.useQuery('get', '/vulnerabilities/{name}/images', { params: { path: { name }, query: { page_size: 1000 } } }, { enabled: vulnerabilities.length === 1 })
  const blocks = types.data?.items.find((t) => t.name === type)?.blocks ?? false
  const covered = (about.data?.items ?? []).filter((a) => covers(scope, a))
  const images = new Set(covered.map((a) => a.digest)).size
  const differ = new Set(covered.filter((a) => a.state !== type).map((a) => a.digest)).size
  return (
    <Alert variant="light" color={blocks ? 'red' : 'gray'} title="What it changes" p="sm">
      <Text size="sm">
        {vulnerabilities.length > 1 ? `${plural(vulnerabilities.length, 'vulnerability', 'vulnerabilities')} get the state ${type} there.`
          : about.data === undefined ? '…'
            : images === 0 ? 'It affects no stored image there now; it will count for those to come.'
              : `${plural(images, 'stored image')} ${images === 1 ? 'is' : 'are'} affected there${about.data.next_page_token ? ', and more' : ''}; the state of ${differ} becomes ${type}.`}
        {blocks ? ' It blocks: registries whose policy says so refuse to serve them.' : ' It does not block pulls.'}
      </Text>
    </Alert>
  )
}

/** Whether a scope covers an affected image. */
export function covers(scope: Schemas['Scope'], a: Schemas['Affected']): boolean {
  switch (scope.kind) {
    case 'everywhere': return true
    case 'registry': return a.registry === scope.value
    case 'repository': return `${a.registry}/${a.repository}` === scope.value
    case 'image': return a.digest === scope.value
    case 'package': return a.package.name === scope.value
  }
}
