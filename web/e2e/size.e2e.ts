import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

import { expect, test } from 'vitest'

// The first load: what the page that starts everything, its frame and a page in it need.

const app = join(import.meta.dirname, '../../internal/webui/dist/app')

interface Chunk { file: string; imports?: string[]; isEntry?: boolean }

test.each(['src/shell/SignIn.tsx', 'src/dashboard/Dashboard.tsx', 'src/images/Findings.tsx', 'src/vulnerabilities/Vulnerability.tsx'])('the first load of %s is below 250 kB', (page) => {
  const manifest = JSON.parse(readFileSync(join(app, '.vite/manifest.json'), 'utf8')) as Record<string, Chunk>
  const files = new Set<string>()
  const add = (key: string) => {
    const chunk = manifest[key]
    if (chunk === undefined) throw new Error(`the build has no ${key}`)
    if (files.has(chunk.file)) return
    files.add(chunk.file)
    chunk.imports?.forEach(add)
  }
  add('index.html')
  add(page)
  if (page.startsWith('src/images/')) add('src/images/Image.tsx')
  const size = [...files].reduce((sum, file) => sum + gzipSync(readFileSync(join(app, file)), { level: 9 }).length, 0)
  console.info(`${page}: ${Math.round(size / 1000)} kB in ${files.size} files`)
  expect(size).toBeLessThan(250_000)
})

test('the page that starts everything has no script of its own', () => {
  const html = readFileSync(join(app, 'index.html'), 'utf8')
  expect(html.match(/<script(?![^>]*\ssrc=)[^>]*>/g)).toBeNull()
  expect(html.match(/\bon\w+=/g)).toBeNull()
  expect(html).not.toMatch(/https?:\/\//)
})
