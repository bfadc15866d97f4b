import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { accessible, go, launch, open, settle, signIn, type Window } from './browser'
import { type Harbour, startHarbour } from './harbour'

// The way of the how-to "Integrate Clair and ProGet", from the first click to an
// assessment that has expired, by the names that it uses.

let harbour: Harbour
let browser: Browser
let window: Window
let page: Page

beforeAll(async () => {
  [harbour, browser] = await Promise.all([startHarbour(), launch()])
  window = await open(browser, harbour.url, { viewport: { width: 1280, height: 900 } })
  page = window.page
})

afterAll(async () => {
  await browser?.close()
  await harbour?.stop()
})

const menu = (name: string) => page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name, exact: true }).click()
const heading = (name: string) => page.getByRole('heading', { level: 1, name }).waitFor()

test('a wrong password is told, and signing in leads to the first push', async () => {
  await page.goto('/')
  await page.waitForURL(/\/sign-in/)
  await page.locator('input[name=username]').fill('admin')
  await page.locator('input[name=password]').fill('wrong password')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('alert').getByText('The name or the password is not right').waitFor()
  expect(window.complaints().filter((c) => !c.includes('401'))).toEqual([])
  await signIn(page, harbour.password)
  await heading('Push your first image')
  expect(await page.locator('pre').first().textContent()).toContain(`docker push ${new URL(harbour.url).host}/main/`)
})

test('feeds are updated, and the image that is pushed turns the page green', async () => {
  await menu('Feeds')
  await page.getByRole('button', { name: 'Update all' }).click()
  await page.waitForURL(/\/administration\/jobs\/\d+/)
  await page.getByRole('status').getByText('done').waitFor()
  await go(page, '/start')
  await page.getByText('Waiting for an image').waitFor()
  await harbour.push('main/shop/checkout', '1.3.0', 1)
  await page.getByText(/main\/shop\/checkout:1\.3\.0.*has arrived: \d+ packages, \d+ findings/).waitFor()
  await page.getByRole('link', { name: 'Look at its findings' }).click()
  await heading('main/shop/checkout:1.3.0')
  await page.getByRole('cell', { name: 'CVE-2023-4911' }).first().waitFor()
})

test('the extension is installed, a vulnerability source created, Web.BaseUrl set, and the source added to the registry', async () => {
  await menu('Extensions')
  const clair = page.getByRole('switch', { name: /Clair.*v1.*enabled/ })
  await clair.waitFor()
  if (!(await clair.isChecked())) await clair.click({ force: true })
  await menu('Vulnerability Sources')
  await page.getByRole('button', { name: 'Create vulnerability source' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByRole('combobox', { name: 'Extension' }).click()
  await page.getByRole('option', { name: /Clair.*v1/ }).click()
  await dialog.getByRole('textbox', { name: 'Name' }).fill('clair')
  await dialog.getByRole('textbox', { name: 'Host and port' }).fill('http://localhost:1/')
  await dialog.locator('input[type=password]').fill('Basic Y2xhaXI6c2VjcmV0')
  await dialog.getByRole('button', { name: 'Save' }).click()
  await dialog.waitFor({ state: 'detached' })
  await page.getByRole('button', { name: 'Test connection to clair' }).click()
  await page.getByRole('status').getByText(/localhost:1/).waitFor()
  expect(await page.content()).not.toContain('Y2xhaXI6c2VjcmV0')

  await menu('Advanced Settings')
  const base = page.getByRole('region', { name: /Web\.BaseUrl/i })
  await base.getByRole('textbox').fill(harbour.url)
  await base.getByRole('button', { name: 'Save' }).click()
  await base.getByText('Saved').waitFor()

  await menu('Registries')
  await page.getByRole('link', { name: 'main', exact: true }).click()
  await page.getByRole('link', { name: 'Manage Registry' }).click()
  const sources = page.getByRole('region', { name: 'Vulnerability sources' })
  await sources.getByRole('button', { name: 'Add' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Add' }).click()
  await sources.getByRole('cell', { name: 'clair', exact: true }).first().waitFor()
  await page.getByRole('button', { name: 'Detach clair' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Detach' }).click()
  await page.getByRole('button', { name: 'Detach clair' }).waitFor({ state: 'detached' })
  window.complaints()
})

test('a vulnerability is assessed as Block until a date, and its pull is refused', async () => {
  expect(await harbour.pull('main/shop/checkout', '1.3.0')).toBe('')
  await menu('Vulnerabilities')
  await page.getByRole('link', { name: 'CVE-2023-4911' }).click()
  await heading('CVE-2023-4911')
  await page.getByText('Unassessed').first().waitFor()
  await page.getByRole('button', { name: 'Assess' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByRole('radio', { name: 'Block' }).check()
  await dialog.getByRole('textbox', { name: 'Comment' }).fill('Local root: not before it is mended.')
  await dialog.getByRole('radio', { name: 'a date' }).check()
  await dialog.getByLabel('Last day').fill(new Date(Date.now() + 2 * 86_400_000).toISOString().slice(0, 10))
  await dialog.getByText('1 image can no longer be pulled').waitFor()
  await dialog.getByRole('button', { name: 'Assess' }).click()
  await dialog.waitFor({ state: 'detached' })
  await page.getByRole('tab', { name: 'Assessments (1)' }).click()
  await page.getByText('Local root: not before it is mended.').waitFor()
  const refused = await harbour.pull('main/shop/checkout', '1.3.0')
  expect(refused).toContain('CVE-2023-4911')
  await menu('Registries')
  await page.getByRole('link', { name: 'main', exact: true }).click()
  await page.getByRole('link', { name: 'shop/checkout' }).click()
  await page.getByRole('link', { name: '1.3.0' }).click()
  await page.getByText('Blocked in main/shop/checkout').waitFor()
})

test('an expired assessment leaves the vulnerability unassessed again', async () => {
  await harbour.advance('96h')
  expect(await harbour.pull('main/shop/checkout', '1.3.0')).toBe('')
  // The session was not used for days, and has ended, too.
  await page.goto('/')
  await page.waitForURL(/\/sign-in/)
  window.complaints()
  await signIn(page, harbour.password)
  await page.goto('/vulnerabilities/CVE-2023-4911?tab=assessments')
  await settle(page)
  await page.getByText('Unassessed').first().waitFor()
  await expect.poll(async () => {
    await page.reload()
    await settle(page)
    return page.getByText(/expired/).count()
  }, { timeout: 60_000, interval: 1000 }).toBeGreaterThan(0)
  await accessible(page, 'expired')
  expect(window.complaints()).toEqual([])
})

test('everything is reached with the keyboard', async () => {
  await page.goto('/')
  await settle(page)
  await page.keyboard.press('Tab')
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Skip to the content')
  await page.keyboard.press('Enter')
  expect(await page.evaluate(() => document.activeElement?.id)).toBe('content')
  await go(page, '/vulnerabilities/CVE-2023-4911')
  await page.getByRole('button', { name: 'Assess' }).focus()
  await page.keyboard.press('Enter')
  await page.getByRole('dialog').waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  await expect.poll(() => page.evaluate(() => document.activeElement?.textContent)).toBe('Assess')
})

test('signing out forgets', async () => {
  await page.getByRole('button', { name: 'admin, your account' }).click()
  await page.getByRole('menuitem', { name: 'Sign out' }).click()
  await page.waitForURL(/\/sign-in/)
  await page.goBack()
  await page.waitForURL(/\/sign-in/)
})
