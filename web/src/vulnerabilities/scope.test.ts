import { expect, test } from 'vitest'

import { placesOf, scopeOf } from './scope'

test.each([
  ['everywhere ', '', { kind: 'everywhere' }], ['registry main', '', { kind: 'registry', value: 'main' }],
  ['repository', 'main/app', { kind: 'repository', value: 'main/app' }], ['image sha256:a', 'x', { kind: 'image', value: 'sha256:a' }], ['image', 'sha256:b', { kind: 'image', value: 'sha256:b' }],
] as const)('%j with %j', (choice, other, want) => {
  expect(scopeOf(choice, other)).toEqual(want)
})

test('the narrowest scope comes first', () => {
  expect(placesOf('sha256:a', 'main/team/app:1').map((p) => `${p.kind} ${p.value}`)).toEqual(['image sha256:a', 'repository main/team/app', 'registry main'])
  expect(placesOf('sha256:a', '').map((p) => p.kind)).toEqual(['image'])
})
