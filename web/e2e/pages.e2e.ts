import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { accessible, fits, go, launch, open, settle, shoot, signIn, type Window } from './browser'
import { type Harbour, startHarbour } from './harbour'

// Every page, on a server with a month of work behind it: nothing fails, nothing is
// asked of others, it fits, and axe has nothing to say, wide and narrow, light and dark.

let harbour: Harbour
let browser: Browser
let digests: Record<string, string>
let job: number

beforeAll(async () => {
  [harbour, browser] = await Promise.all([startHarbour('-back', '720h'), launch()])
  digests = await harbour.fill()
  window = await open(browser, harbour.url, { viewport: { width: 1440, height: 900 } })
  await signIn(window.page, harbour.password)
  await settle(window.page)
  job = await window.page.evaluate(async () => ((await (await fetch('/api/v1/jobs?kind=update-feeds&page_size=1')).json()) as { items: { id: number }[] }).items[0]?.id ?? 0)
})

afterAll(async () => {
  await browser?.close()
  await harbour?.stop()
})

const at = '?at=main/shop/checkout:1.4.0'

const pages: [name: string, path: () => string][] = [
  ['dashboard', () => '/'],
  ['first-push', () => '/start'],
  ['registries', () => '/registries'],
  ['repositories', () => '/registries/main'],
  ['manage-registry', () => '/registries/main/manage'],
  ['tags', () => '/registries/main/repositories/shop/checkout'],
  ['image', () => `/images/${digests.middle}${at}`],
  ['image-vulnerabilities', () => `/images/${digests.middle}/vulnerabilities${at}`],
  ['image-by-package', () => `/images/${digests.middle}/vulnerabilities${at}&by=package`],
  ['image-packages', () => `/images/${digests.middle}/packages${at}`],
  ['image-layers', () => `/images/${digests.middle}/layers${at}`],
  ['image-remedy', () => `/images/${digests.first}/remedy?at=main/shop/checkout:1.3.0`],
  ['image-sources', () => `/images/${digests.middle}/sources${at}`],
  ['image-sbom', () => `/images/${digests.middle}/sbom${at}`],
  ['image-referrers', () => `/images/${digests.middle}/referrers${at}`],
  ['image-history', () => `/images/${digests.middle}/history${at}`],
  ['image-explain', () => `/images/${digests.middle}/explain/CVE-2023-4911${at}`],
  ['compare', () => `/compare?from=${digests.first}&to=${digests.last}&a=main/shop/checkout:1.3.0&b=main/shop/checkout:1.5.0`],
  ['compare-choose', () => '/compare'],
  ['vulnerabilities', () => '/vulnerabilities'],
  ['vulnerability', () => '/vulnerabilities/CVE-2023-50447'],
  ['vulnerability-statements', () => '/vulnerabilities/CVE-2023-4911?tab=statements'],
  ['vulnerability-assessments', () => '/vulnerabilities/CVE-2023-38545?tab=assessments'],
  ['assessments', () => '/assessments'],
  ['assessment', () => '/assessments/1'],
  ['vex-documents', () => '/vex-documents'],
  ['extensions', () => '/administration/extensions'],
  ['connectors', () => '/administration/connectors'],
  ['vulnerability-sources', () => '/administration/vulnerability-sources'],
  ['vulnerability-source', () => '/administration/vulnerability-sources/clair'],
  ['policies', () => '/administration/policies'],
  ['advanced-settings', () => '/administration/advanced-settings'],
  ['assessment-types', () => '/administration/assessment-types'],
  ['webhooks', () => '/administration/webhooks'],
  ['kubernetes', () => '/administration/kubernetes'],
  ['feeds', () => '/administration/feeds'],
  ['feed', () => '/administration/feeds/debian'],
  ['scheduled-jobs', () => '/administration/scheduled-jobs'],
  ['job', () => `/administration/jobs/${job}`],
  ['users', () => '/administration/users'],
  ['api-keys', () => '/administration/api-keys'],
  ['groups', () => '/administration/groups'],
  ['roles', () => '/administration/roles'],
  ['robots', () => '/administration/robots'],
  ['sign-in-provider', () => '/administration/sign-in-provider'],
  ['audit-log', () => '/administration/audit-log'],
  ['system', () => '/administration/system'],
  ['missing', () => '/no/such/page'],
]

const forms = [
  ['wide-light', 1440, 'light'], ['wide-dark', 1440, 'dark'], ['narrow-light', 400, 'light'], ['narrow-dark', 400, 'dark'],
] as const

let window: Window

/** Looks at what is shown in every form. */
async function look(name: string): Promise<void> {
  const { page } = window
  for (const [form, width, colorScheme] of forms) {
    await page.setViewportSize({ width, height: 900 })
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    await page.waitForFunction((scheme) => document.documentElement.dataset.mantineColorScheme === scheme, colorScheme)
    await page.waitForFunction(() => document.getAnimations().every((a) => a.playState !== 'running' || !(a instanceof CSSTransition)))
    await shoot(page, `${name}-${form}`)
    await fits(page, `${name}-${form}`)
    // The other two are made of the same: the colours of one, the form of the other.
    if (form === 'wide-light' || form === 'narrow-dark') await accessible(page, `${name}-${form}`)
  }
  expect(window.complaints()).toEqual([])
}

test.each(pages)('%s', async (name, path) => {
  await window.page.setViewportSize({ width: 1440, height: 900 })
  await go(window.page, path())
  await look(name)
})

test('assess', async () => {
  const { page } = window
  await go(page, '/vulnerabilities/CVE-2023-50447')
  await page.getByRole('button', { name: 'Assess' }).click()
  await page.getByRole('radio', { name: 'Block' }).check()
  await page.getByText('stored image').waitFor()
  await look('assess')
  await page.keyboard.press('Escape')
})

test('sign-in', async () => {
  for (const [form, width, colorScheme] of [['wide-light', 1440, 'light'], ['narrow-dark', 400, 'dark']] as const) {
    const window = await open(browser, harbour.url, { viewport: { width, height: 900 }, colorScheme })
    await window.page.goto('/vulnerabilities?severity=high')
    await window.page.waitForURL(/sign-in/)
    await settle(window.page)
    await shoot(window.page, `sign-in-${form}`)
    await accessible(window.page, 'sign-in')
    await fits(window.page, 'sign-in')
    expect(window.complaints()).toEqual([])
    await window.context.close()
  }
})
