import { expect, test } from 'vitest'

import { kindsOf } from './actions'

test.each([
  [[], '', []],
  [['user.create', 'user.delete', 'api-key.create'], '', ['api-key.', 'user.']],
  [['user.create'], 'policy.', ['policy.', 'user.']],
  [['user.create'], 'user.create', ['user.', 'user.create']],
])('of %j with %j', (actions, chosen, want) => {
  expect(kindsOf(actions, chosen).map((k) => k.value)).toEqual(want)
})
