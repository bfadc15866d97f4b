import { expect, test } from 'vitest'

import { roleWords } from './roleWords'

test('roles in words', () => {
  expect(roleWords([])).toBe('')
  expect(roleWords([{ role: 'publish', registry: 'main' }, { role: 'read' }])).toBe('publish in main, read everywhere')
})
