import type { Schemas } from '../api/client'
import { parseAt } from '../registries/reference'

type Scope = Schemas['Scope']

/** A scope to choose. */
export interface Place {
  kind: Scope['kind']
  value: string
  label: string
}

/** The scopes that come to mind at an image, the narrowest first. */
export function placesOf(image: string, at: string): Place[] {
  const place = parseAt(at)
  return [
    { kind: 'image', value: image, label: 'this image only' },
    ...(place ? [
      { kind: 'repository' as const, value: `${place.registry}/${place.repository}`, label: `the repository ${place.registry}/${place.repository}` },
      { kind: 'registry' as const, value: place.registry, label: `the registry ${place.registry}` },
    ] : []),
  ]
}

/** What it means that an assessment holds there. */
export const meanings: Record<Scope['kind'], string> = {
  image: 'Exactly this image, by its digest, wherever it is stored: a new push is another image.',
  repository: 'All images of the repository, also those to come.',
  registry: 'All images of the registry, also those to come.',
  everywhere: 'Every image here, also those to come.',
  package: 'Every image that has the package, also those to come.',
}

/** The scopes whose value is typed. */
export const typed: Partial<Record<Scope['kind'], { label: string; placeholder: string }>> = {
  image: { label: 'Digest', placeholder: 'sha256:…' }, repository: { label: 'Repository', placeholder: 'main/app' }, package: { label: 'Package', placeholder: 'openssl' },
}

/** The scope of a choice: "registry main", or a kind alone, whose value was typed. */
export function scopeOf(choice: string, other: string): Scope {
  const [kind = '', ...rest] = choice.split(' ')
  const value = choice.includes(' ') ? rest.join(' ') : other
  return { kind: kind as Scope['kind'], ...(value === '' ? {} : { value }) }
}
