import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

import type { Browser, Locator } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { accessible, fits, go, launch, open, settle, shoot, signIn, type Window } from './browser'
import { type Harbour, startHarbour } from './harbour'

// The forms of who may do what, and of what a registry pulls through: made, changed,
// deleted, and wrong.

let harbour: Harbour
let browser: Browser
let window: Window

beforeAll(async () => {
  [harbour, browser] = await Promise.all([startHarbour(), launch()])
  window = await open(browser, harbour.url, { viewport: { width: 1440, height: 900 } })
  await signIn(window.page, harbour.password)
  await settle(window.page)
  expect(await send('POST', '/users', { name: 'ann', password: 'correct horse battery' })).toBe(201)
})

afterAll(async () => {
  await browser?.close()
  await harbour?.stop()
})

/** Makes a request as who is signed in, and answers with its status. */
function send(method: string, path: string, body: unknown): Promise<number> {
  return window.page.evaluate(async ([method, path, body]) => (await fetch(`/api/v1${path}`, { method, headers: { 'Content-Type': 'application/json' }, body })).status, [method, path, JSON.stringify(body)] as const)
}

/** Looks at what is open, wide and narrow. */
async function look(name: string): Promise<void> {
  const { page } = window
  for (const width of [1440, 400]) {
    await page.setViewportSize({ width, height: 900 })
    await shoot(page, `${name}-${width === 400 ? 'narrow' : 'wide'}-light`)
    await fits(page, name)
    await accessible(page, name)
  }
  await page.setViewportSize({ width: 1440, height: 900 })
}

/** Looks whether a field says what is wrong with it, to those who do not see it, too. */
async function wrong(field: Locator, words: RegExp): Promise<void> {
  await expect.poll(() => field.getAttribute('aria-invalid')).toBe('true')
  const said = await field.evaluate((e) => (e.getAttribute('aria-describedby') ?? '').split(' ').map((id) => document.getElementById(id)?.textContent ?? '').join(' '))
  expect(said).toMatch(words)
}

/** What the browser complained of, but for answers of these statuses, which it always mentions. */
function complaints(...statuses: number[]): string[] {
  return window.complaints().filter((said) => !statuses.some((status) => said.includes(`status of ${status}`)))
}

test('a group is made, changed, filled, emptied and deleted', async () => {
  const { page } = window
  await go(page, '/administration/groups')
  await page.getByRole('button', { name: 'New group' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByRole('textbox', { name: 'Name', exact: true }).fill('x'.repeat(101))
  await dialog.getByRole('textbox', { name: 'Claim' }).fill('devs')
  await dialog.getByRole('button', { name: 'Make it' }).click()
  await wrong(dialog.getByRole('textbox', { name: 'Name', exact: true }), /length/)
  await look('group-wrong')
  await dialog.getByRole('textbox', { name: 'Name', exact: true }).fill('developers')
  await dialog.getByRole('button', { name: 'Make it' }).click()
  await dialog.waitFor({ state: 'detached' })
  const row = page.getByRole('row', { name: /developers/ })
  await row.getByText('devs', { exact: true }).waitFor()

  // A name is given once.
  await page.getByRole('button', { name: 'New group' }).click()
  await dialog.getByRole('textbox', { name: 'Name', exact: true }).fill('developers')
  await dialog.getByRole('button', { name: 'Make it' }).click()
  await dialog.getByRole('alert').getByText('The group was not made').waitFor()
  await dialog.getByRole('button', { name: 'Cancel' }).click()

  await page.getByRole('button', { name: 'Edit developers' }).click()
  await dialog.getByRole('textbox', { name: 'Description' }).fill('Who builds shop')
  await dialog.getByRole('textbox', { name: 'Claim' }).fill('builders')
  await dialog.getByRole('button', { name: 'Save' }).click()
  await dialog.waitFor({ state: 'detached' })
  await row.getByText('builders', { exact: true }).waitFor()
  await row.getByText('Who builds shop').waitFor()

  await page.getByRole('button', { name: 'Members of developers' }).click()
  await dialog.getByLabel('User').selectOption('ann')
  await dialog.getByRole('button', { name: 'Put in' }).click()
  await dialog.getByRole('button', { name: 'Take out ann' }).waitFor()
  await look('group-members')
  await dialog.getByRole('button', { name: 'Take out ann' }).click()
  await dialog.getByText('Nobody is in it.').waitFor()
  await page.keyboard.press('Escape')
  await dialog.waitFor({ state: 'detached' })
  await look('groups')

  await page.getByRole('button', { name: 'Delete developers' }).click()
  await dialog.getByRole('button', { name: 'Delete developers' }).click()
  await page.getByText('No groups').waitFor()
  expect(complaints(422, 409)).toEqual([])
})

test('a robot shows its secret once, works, gets another, and is deleted', async () => {
  const { page } = window
  await go(page, '/administration/robots')
  await page.getByRole('button', { name: 'New robot' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByRole('textbox', { name: 'Name', exact: true }).fill('Build Server')
  await dialog.getByLabel('Registry').selectOption('main')
  await dialog.getByLabel('Role').selectOption('publish')
  await dialog.getByRole('button', { name: 'Make it' }).click()
  await wrong(dialog.getByRole('textbox', { name: 'Name', exact: true }), /lower-case/)
  await dialog.getByRole('textbox', { name: 'Name', exact: true }).fill('ci')
  await dialog.getByLabel('Last day').fill('2001-01-01')
  await dialog.getByRole('button', { name: 'Make it' }).click()
  await wrong(dialog.getByLabel('Last day'), /future/)
  await look('robot-wrong')
  await dialog.getByLabel('Last day').fill('')
  await dialog.getByRole('button', { name: 'Make it' }).click()
  const shown = async () => {
    await dialog.getByText('Copy it now: it is shown this once.').waitFor()
    return (await dialog.getByText(/^prr_/).first().textContent()) ?? ''
  }
  const signsIn = async (secret: string) => (await fetch(`${harbour.url}/v2/`, { headers: { Authorization: `Basic ${btoa(`robot+ci:${secret}`)}` } })).status
  const first = await shown()
  expect(first).toMatch(/^prr_[\w-]{43}$/)
  expect(await signsIn(first)).toBe(200)
  await look('robot-secret')
  await dialog.getByRole('button', { name: 'I have it' }).click()
  await dialog.waitFor({ state: 'detached' })
  await page.getByRole('row', { name: /robot\+ci/ }).getByText('publish in main').waitFor()
  // Nowhere else, and not a second time.
  expect(await page.content()).not.toContain(first)
  await page.reload()
  await settle(page)
  expect(await page.content()).not.toContain(first)
  await look('robots')

  const edit = async (day: string) => {
    await page.getByRole('button', { name: 'Edit ci' }).click()
    await dialog.getByLabel('Last day').fill(day)
    await dialog.getByRole('button', { name: 'Save' }).click()
  }
  const expires = async () => {
    const { items } = await (await page.request.get(`${harbour.url}/api/v1/robots`)).json() as { items: { description: string; expires_at: string | null }[] }
    return items.map((r) => [r.description, r.expires_at])
  }
  await edit('2001-01-01')
  await wrong(dialog.getByLabel('Last day'), /future/)
  await dialog.getByLabel('Last day').fill('2090-05-01')
  await dialog.getByRole('textbox', { name: 'Description' }).fill('builds the site')
  await dialog.getByRole('button', { name: 'Save' }).click()
  await dialog.waitFor({ state: 'detached' })
  await page.getByRole('row', { name: /robot\+ci/ }).getByText('builds the site').waitFor()
  expect(await expires()).toEqual([['builds the site', '2090-05-02T00:00:00Z']])
  await page.getByRole('button', { name: 'Edit ci' }).click()
  expect(await dialog.getByLabel('Last day').inputValue()).toBe('2090-05-01')
  await look('robot-edit')
  await page.keyboard.press('Escape')
  await dialog.waitFor({ state: 'detached' })
  await edit('')
  await dialog.waitFor({ state: 'detached' })
  expect(await expires()).toEqual([['builds the site', null]])

  await page.getByRole('button', { name: 'Disable ci' }).click()
  await page.getByRole('button', { name: 'Enable ci' }).waitFor()
  expect(await signsIn(first)).toBe(401)
  await page.getByRole('button', { name: 'Enable ci' }).click()
  await page.getByRole('button', { name: 'Disable ci' }).waitFor()
  await page.getByRole('button', { name: 'New secret for ci' }).click()
  await dialog.getByRole('button', { name: 'New secret' }).click()
  const second = await shown()
  expect(second).not.toBe(first)
  expect([await signsIn(first), await signsIn(second)]).toEqual([401, 200])
  await dialog.getByRole('button', { name: 'I have it' }).click()
  await page.getByRole('button', { name: 'Delete ci' }).click()
  await dialog.getByRole('button', { name: 'Delete ci' }).click()
  await page.getByText('No robots').waitFor()
  expect(await signsIn(second)).toBe(401)
  expect(complaints(422)).toEqual([])
})

test('a role in a registry is granted and taken back', async () => {
  const { page } = window
  await go(page, '/registries/main/manage')
  const panel = page.getByRole('region', { name: 'Roles' })
  await panel.getByRole('textbox', { name: 'Name' }).fill('nobody')
  await panel.getByRole('button', { name: 'Grant it' }).click()
  await wrong(panel.getByRole('textbox', { name: 'Name' }), /nobody of that name/)
  await look('roles-wrong')
  const may = () => page.evaluate(async (credentials) => (await fetch('/api/v1/registries/main/repositories', { headers: { Authorization: credentials }, credentials: 'omit' })).status, `Basic ${btoa('ann:correct horse battery')}`)
  expect(await may()).toBe(404)
  await panel.getByRole('textbox', { name: 'Name' }).fill('ann')
  await panel.getByLabel('Role').selectOption('assess')
  await panel.getByRole('button', { name: 'Grant it' }).click()
  await panel.getByRole('button', { name: 'Take back assess from ann' }).waitFor()
  expect(await may()).toBe(200)
  // What there is already is not given twice.
  await panel.getByRole('textbox', { name: 'Name' }).fill('ann')
  await panel.getByRole('button', { name: 'Grant it' }).click()
  await panel.getByRole('alert').getByText('It was not granted').waitFor()
  await look('roles')
  await panel.getByRole('button', { name: 'Take back assess from ann' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Take it back' }).click()
  await panel.getByText('Nobody has a role yet').waitFor()
  expect(await may()).toBe(404)
  expect(complaints(422, 409, 404)).toEqual([])
})

test('a connector is made, tested, attached, changed and deleted', async () => {
  const { page } = window
  let wants = ''
  const upstream: Server = createServer((request, answer) => {
    answer.writeHead(request.headers.authorization === wants ? 200 : 401, { 'Content-Type': 'application/json', 'WWW-Authenticate': 'Basic realm="upstream"' }).end('{}')
  })
  await new Promise<void>((resolve) => { upstream.listen(0, '127.0.0.1', resolve) })
  const address = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`
  try {
    await go(page, '/administration/connectors')
    await page.getByRole('button', { name: 'Create connector' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByRole('textbox', { name: 'Name', exact: true }).fill('upstream')
    await dialog.getByRole('textbox', { name: 'URL' }).fill(`${address}/v2/`)
    await dialog.getByRole('button', { name: 'Save' }).click()
    await wrong(dialog.getByRole('textbox', { name: 'URL' }), /scheme and host alone/)
    await dialog.getByRole('textbox', { name: 'URL' }).fill(address)
    await dialog.getByText('Network and TLS').click()
    await dialog.getByRole('textbox', { name: 'Certificates of authorities' }).fill('no certificate')
    await dialog.getByRole('button', { name: 'Save' }).click()
    await wrong(dialog.getByRole('textbox', { name: 'Certificates of authorities' }), /PEM/)
    await look('connector-wrong')
    await dialog.getByRole('textbox', { name: 'Certificates of authorities' }).fill('')
    await dialog.getByRole('textbox', { name: 'Allowed repositories' }).fill('library/*\nteam/*')
    await dialog.getByRole('button', { name: 'Save' }).click()
    await dialog.waitFor({ state: 'detached' })
    const row = page.getByRole('row', { name: /upstream/ })
    await row.getByText('library/*, team/*').waitFor()

    wants = `Basic ${btoa('reader:secret')}`
    await page.getByRole('button', { name: 'Test connection to upstream' }).click()
    await row.getByText(/it wants a user name and a password/).waitFor()
    await look('connectors-refused')
    await page.getByRole('button', { name: 'Edit upstream' }).click()
    await dialog.getByRole('textbox', { name: 'User name' }).fill('reader')
    await dialog.getByLabel('Password or token').fill('secret')
    await dialog.getByRole('button', { name: 'Save' }).click()
    await dialog.waitFor({ state: 'detached' })
    await row.getByText('as reader').waitFor()
    await page.getByRole('button', { name: 'Test connection to upstream' }).click()
    await row.getByText('it answers').waitFor()
    // Who leads it elsewhere must know the password.
    await page.getByRole('button', { name: 'Edit upstream' }).click()
    await dialog.getByRole('textbox', { name: 'URL' }).fill('http://127.0.0.2:1')
    await dialog.getByRole('button', { name: 'Save' }).click()
    await dialog.getByRole('alert').getByText('It was not saved').waitFor()
    await look('connector-elsewhere')
    await wrong(dialog.getByLabel('Password or token'), /given again/)
    await dialog.getByRole('button', { name: 'Cancel' }).click()

    await go(page, '/registries/main/manage')
    const panel = page.getByRole('region', { name: 'Connectors' })
    await panel.getByRole('combobox', { name: 'Attach a connector' }).or(panel.getByRole('textbox', { name: 'Attach a connector' })).first().click()
    await page.getByRole('option', { name: 'upstream' }).click()
    await panel.getByRole('button', { name: 'Detach upstream' }).waitFor()
    await look('registry-connectors')
    await panel.getByRole('button', { name: 'Detach upstream' }).click()
    await panel.getByText('No connector').waitFor()

    await go(page, '/administration/connectors')
    await page.getByRole('button', { name: 'Delete upstream' }).click()
    await dialog.getByRole('button', { name: 'Delete upstream' }).click()
    await page.getByText('No connector yet').waitFor()
    expect(complaints(422)).toEqual([])
  } finally {
    upstream.close()
  }
})
