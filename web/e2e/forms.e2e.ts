import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { accessible, fits, go, launch, open, settle, shoot, signIn, type Window } from './browser'
import { type Harbour, startHarbour } from './harbour'

// What people fill in that the how-to does not ask for: decisions from a file, rules,
// webhooks, filters, and two who change the same thing.

let harbour: Harbour
let browser: Browser
let window: Window
let digests: Record<string, string>

beforeAll(async () => {
  [harbour, browser] = await Promise.all([startHarbour('-back', '720h'), launch()])
  digests = await harbour.fill()
  window = await open(browser, harbour.url, { viewport: { width: 1280, height: 900 } })
  await signIn(window.page, harbour.password)
})

afterAll(async () => {
  await browser?.close()
  await harbour?.stop()
})

/** Looks at what is open, wide and narrow. */
async function look(name: string): Promise<void> {
  const { page } = window
  for (const width of [1280, 400]) {
    await page.setViewportSize({ width, height: 900 })
    await shoot(page, `${name}-${width === 400 ? 'narrow' : 'wide'}-light`)
    await fits(page, name)
    await accessible(page, name)
  }
  await page.setViewportSize({ width: 1280, height: 900 })
}

test('decisions are imported from a file once its bad line is mended', async () => {
  const { page } = window
  await go(page, '/assessments')
  await page.getByRole('button', { name: 'Import' }).click()
  const dialog = page.getByRole('dialog')
  const choose = async (text: string) => {
    const chooser = page.waitForEvent('filechooser')
    await dialog.getByLabel('File').click()
    await (await chooser).setFiles({ name: '.trivyignore', mimeType: 'text/plain', buffer: Buffer.from(text) })
  }
  await choose('# from the pipeline\nCVE-2023-50447 exp:2031-02-30\nCVE-2023-45853\n')
  await dialog.getByRole('button', { name: 'See what becomes of it' }).click()
  await dialog.getByText(/^Nothing can be imported as it is: /).waitFor()
  await dialog.getByRole('row', { name: /CVE-2023-50447 exp:2031-02-30/ }).getByText('bad', { exact: true }).waitFor()
  expect(await dialog.getByRole('button', { name: 'Import' }).isDisabled()).toBe(true)
  await look('import')
  await choose('# from the pipeline\nCVE-2023-50447 exp:2031-02-28\nCVE-2023-45853\n')
  await dialog.getByRole('button', { name: 'See what becomes of it' }).click()
  await dialog.getByText(/^It would come to this: 2 decisions/).waitFor()
  await dialog.getByRole('button', { name: 'Import' }).click()
  await dialog.getByText(/^Imported: 2 decisions/).waitFor()
  await dialog.getByRole('button', { name: 'Close', exact: true }).last().click()
  await page.getByRole('link', { name: 'CVE-2023-45853' }).first().waitFor()
  expect(window.complaints()).toEqual([])
})

test('a type with a rule assesses by itself', async () => {
  const { page } = window
  await go(page, '/administration/assessment-types')
  await page.getByRole('button', { name: 'New type' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByRole('textbox', { name: 'Name' }).fill('Compression')
  await dialog.getByRole('switch', { name: 'Assesses by itself what a rule says' }).check()
  await dialog.getByLabel('Packages', { exact: true }).fill('zlib*')
  await page.keyboard.press('Enter')
  await look('rule')
  await dialog.getByRole('button', { name: 'Save' }).click()
  await dialog.waitFor({ state: 'detached' })
  await page.getByRole('row', { name: /Compression/ }).getByText('zlib*').waitFor()
  expect(window.complaints()).toEqual([])
})

test('who changes what another has changed is told, and sees it as it is now', async () => {
  const { page } = window
  await page.getByRole('button', { name: 'Edit Compression' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByRole('textbox', { name: 'Description' }).fill('Mine')
  const status = await page.evaluate(async () => {
    const list = (await (await fetch('/api/v1/assessment-types')).json()) as { items: { name: string; etag: string }[] }
    const etag = list.items.find((t) => t.name === 'Compression')?.etag ?? ''
    return (await fetch('/api/v1/assessment-types/Compression', { method: 'PATCH', headers: { 'Content-Type': 'application/json', 'If-Match': etag }, body: JSON.stringify({ description: 'Theirs' }) })).status
  })
  expect(status).toBe(200)
  await dialog.getByRole('button', { name: 'Save' }).click()
  await dialog.getByText('Someone else changed this').waitFor()
  await look('changed-meanwhile')
  await dialog.getByRole('button', { name: 'Reload' }).click()
  await dialog.waitFor({ state: 'detached' })
  await page.getByRole('row', { name: /Compression/ }).getByText('Theirs').waitFor()
  // The browser itself says that an answer was 412.
  expect(window.complaints().filter((said) => !said.includes('412'))).toEqual([])
})

test('a webhook is created, tested and told again', async () => {
  const { page } = window
  const told: { id: string; signature: string }[] = []
  const receiver: Server = createServer((request, answer) => {
    told.push({ id: String(request.headers['webhook-id']), signature: String(request.headers['webhook-signature']) })
    request.resume().on('end', () => answer.writeHead(204).end())
  })
  await new Promise<void>((resolve) => { receiver.listen(0, '127.0.0.1', resolve) })
  try {
    await go(page, '/administration/webhooks')
    await page.getByRole('button', { name: 'Create webhook' }).first().click()
    const dialog = page.getByRole('dialog')
    await dialog.getByRole('textbox', { name: 'Name' }).fill('operations')
    await dialog.getByRole('textbox', { name: 'Address' }).fill(`http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`)
    await dialog.getByLabel('Secret').fill('a secret that only the two of us know')
    await look('webhook-form')
    await dialog.getByRole('button', { name: 'Save' }).click()
    await dialog.waitFor({ state: 'detached' })
    await page.getByRole('link', { name: 'operations' }).click()
    await page.getByRole('button', { name: 'Send a test' }).click()
    await page.getByText('delivered', { exact: true }).first().waitFor()
    await look('webhook')
    await page.getByRole('button', { name: /^Tell again/ }).first().click()
    // What has happened meanwhile is told, too, but once.
    await expect.poll(() => told.length - new Set(told.map((one) => one.id)).size, { timeout: 20_000 }).toBe(1)
    expect(told.every((one) => one.signature.startsWith('v1,'))).toBe(true)
    expect(window.complaints()).toEqual([])
  } finally {
    receiver.close()
  }
})

test('a registry gets a quota and rules for its tags', async () => {
  const { page } = window
  await go(page, '/registries/main/manage')
  const panel = page.getByRole('region', { name: 'Quota and tags' })
  await panel.getByLabel('Quota', { exact: true }).fill('0.2')
  await panel.getByLabel('Immutable tags', { exact: true }).fill('v*')
  await page.keyboard.press('Enter')
  await panel.getByRole('switch', { name: /follow the highest version/ }).check()
  await panel.getByRole('button', { name: 'Save' }).click()
  await panel.getByText('Saved').waitFor()
  await panel.getByText(/ used of 200 MB/).waitFor()
  await look('registry-rules')
  await go(page, '/registries/main/repositories/shop/checkout')
  await page.getByRole('link', { name: 'latest', exact: true }).waitFor()
  expect(window.complaints()).toEqual([])
})

test('pulls and sizes are seen of images, repositories and registries', async () => {
  const { page } = window
  for (let i = 0; i < 3; i++) expect(await harbour.pull('main/shop/checkout', '1.5.0')).toBe('')
  // Of this image: others may have been pulled before.
  await expect.poll(() => page.evaluate(async (image) => ((await (await fetch(`/api/v1/images/${image}/usage`)).json()) as { pulls: number }).pulls, digests.last), { timeout: 15_000 }).toBeGreaterThanOrEqual(3)
  await go(page, '/registries/main?sort=-pulls')
  await page.reload() // lists are good for ten seconds
  await settle(page)
  await page.getByText(/its own, .* shared with other registries\. \d+ pulls, the last/).waitFor()
  await page.getByRole('row').nth(1).getByText('shop/checkout').waitFor()
  await look('usage-registry')
  await go(page, '/registries/main/repositories/shop/checkout?sort=-pulls')
  await page.reload() // lists are good for ten seconds
  await settle(page)
  await page.getByText(/its own, .* shared with other repositories\. \d+ pulls, the last/).waitFor()
  await page.getByRole('row').nth(1).getByRole('link', { name: '1.5.0' }).waitFor()
  await page.getByRole('row').nth(1).getByText('just now').first().waitFor()
  await look('usage-repository')
  await go(page, `/images/${digests.last}?at=main/shop/checkout:1.5.0`)
  const panel = page.getByRole('region', { name: 'Usage' })
  await panel.getByText(/^\d.* with other images$/).waitFor()
  await panel.getByText('3', { exact: true }).waitFor()
  await look('usage-image')
  expect(window.complaints()).toEqual([])
})

test('what retention rules let go is seen, held, and confirmed', async () => {
  const { page } = window
  await go(page, '/registries/main/manage')
  const panel = page.getByRole('region', { name: 'Retention' })
  await panel.getByRole('switch', { name: /^Each night/ }).check()
  await panel.getByLabel('Keep the last').fill('1')
  await panel.getByRole('button', { name: 'See what goes' }).click()
  await panel.getByText(/ would go now\.$/).waitFor()
  await panel.getByRole('cell', { name: /^shop\/checkout:1\.3\.0/ }).waitFor()
  await panel.getByLabel('Keep for, after a pull').fill('90')
  await panel.getByRole('button', { name: 'See what goes' }).click()
  await panel.getByText(/^0 tags of /).waitFor()
  await look('retention')
  await panel.getByLabel('Keep for, after a pull').fill('')
  await panel.getByLabel('Keep the last').fill('')
  await panel.getByLabel('Keep tags for').fill('1')
  await panel.getByRole('button', { name: 'Save' }).click()
  await panel.getByText('Saved').waitFor()
  await panel.getByRole('button', { name: 'See what goes' }).click()
  await panel.getByText('That is most of the registry').waitFor()
  await panel.getByRole('button', { name: 'Let it go' }).click()
  await panel.getByText(/^Confirmed/).waitFor()
  await look('retention-confirmed')
  expect(window.complaints()).toEqual([])
})

test('an image is promoted, once what keeps it out is gone', async () => {
  const { page } = window
  const status = await page.evaluate(async () => (await fetch('/api/v1/registries', {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ name: 'releases', policy: { block_unassessed_from: 'critical' } }),
  })).status)
  expect(status).toBe(201)
  await go(page, `/images/${digests.last}?at=main/shop/checkout:1.5.0`)
  await page.getByRole('button', { name: 'Promote' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByRole('combobox', { name: 'To the registry' }).or(dialog.getByRole('textbox', { name: 'To the registry' })).first().click()
  await page.getByRole('option', { name: 'releases' }).click()
  await dialog.getByLabel('Comment').fill('passed the tests')
  await dialog.getByRole('button', { name: 'See what it comes to' }).click()
  await dialog.getByText(/The policy of releases (keeps it out|lets it in)/).waitFor()
  await look('promote')
  if (await dialog.getByText('The policy of releases keeps it out').count() > 0) {
    await page.evaluate(() => fetch('/api/v1/registries/releases', { method: 'PATCH', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ policy: { block_unassessed_from: null } }) }))
    await dialog.getByLabel('Tag').fill('1.5.1')
    await dialog.getByRole('button', { name: 'See what it comes to' }).click()
  }
  await dialog.getByText('The policy of releases lets it in').waitFor()
  await dialog.getByRole('button', { name: 'Promote' }).click()
  await dialog.getByText(/^Promoted to/).waitFor()
  await dialog.getByRole('button', { name: 'Close', exact: true }).last().click()
  await page.getByRole('tab', { name: 'History' }).or(page.getByRole('link', { name: 'History' })).first().click()
  await page.getByText(/to releases\/shop\/checkout:1\.5\.\d by admin: passed the tests/).or(page.getByText('passed the tests')).first().waitFor()
  await look('promoted')
  expect(window.complaints()).toEqual([])
})

test('filters narrow the list, are in its address, and are taken away together', async () => {
  const { page } = window
  await go(page, '/vulnerabilities')
  const rows = page.getByRole('table', { name: 'Vulnerabilities' }).getByRole('row')
  const all = await rows.count()
  await page.getByRole('button', { name: 'More filters' }).click()
  await page.getByRole('combobox', { name: 'CVSS score' }).or(page.getByRole('textbox', { name: 'CVSS score' })).first().click()
  await page.getByRole('option', { name: '9 or more' }).click()
  await page.getByRole('textbox', { name: 'Package' }).fill('libc6')
  await page.waitForURL((u) => u.searchParams.get('cvss') === '9' && u.searchParams.get('package') === 'libc6')
  await settle(page)
  expect(await rows.count()).toBeLessThan(all)
  await look('more-filters')
  await page.getByRole('button', { name: 'Clear these' }).click()
  await page.waitForURL((u) => u.search === '')
  await expect.poll(() => rows.count()).toBe(all)
  expect(window.complaints()).toEqual([])
})

test('what was deleted is restored from the trash', async () => {
  const { page } = window
  const statuses = await page.evaluate(async () => {
    const send = async (method: string, path: string, body?: object) => (await fetch(`/api/v1${path}`, {
      method, headers: { 'Content-Type': 'application/json' }, body: body && JSON.stringify(body),
    })).status
    return [
      await send('POST', '/registries', { name: 'attic' }),
      await send('POST', '/promotions', { from: { registry: 'main', repository: 'shop/checkout', tag: '1.5.0' }, to: { registry: 'attic', tag: 'kept' } }),
      await send('DELETE', '/registries/attic/repositories/shop/checkout'),
    ]
  })
  expect(statuses).toEqual([201, 201, 204])
  await go(page, '/registries/attic/manage')
  const panel = page.getByRole('region', { name: 'Trash' })
  await panel.getByText('its repository was deleted').first().waitFor()
  await panel.getByLabel('Days in the trash', { exact: true }).fill('30')
  await panel.getByRole('button', { name: 'Save' }).click()
  await panel.getByText('Saved').waitFor()
  await panel.scrollIntoViewIfNeeded()
  await look('trash')
  await panel.getByRole('button', { name: /^Restore shop\/checkout:kept/ }).click()
  await panel.getByText(/came back to shop\/checkout, with kept/).waitFor()
  await panel.getByText('The trash is empty').waitFor()
  await go(page, '/registries/attic/repositories/shop/checkout')
  await page.getByRole('link', { name: 'kept', exact: true }).waitFor()
  expect(window.complaints()).toEqual([])
})
