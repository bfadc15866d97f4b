// @vitest-environment node
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import openapi, { astToString, COMMENT_HEADER } from 'openapi-typescript'
import { expect, test } from 'vitest'

test('the client is generated from the interface as it is; npm run api writes it anew', async () => {
  const document = new URL(`file://${join(import.meta.dirname, '../../../internal/api/testdata/openapi.json')}`)
  const fresh = COMMENT_HEADER + astToString(await openapi(document, { defaultNonNullable: false, silent: true }))
  const kept = await readFile(join(import.meta.dirname, 'schema.d.ts'), 'utf8')
  expect(kept === fresh).toBe(true)
}, 60_000)
