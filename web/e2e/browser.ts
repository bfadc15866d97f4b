import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { expect } from 'vitest'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const shots = join(import.meta.dirname, '../screenshots')

export function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  })
}

export interface Window {
  page: Page
  context: BrowserContext
  /** What went wrong in the page, or was asked of another server, since it was last asked. */
  complaints: () => string[]
}

/** Opens a window in which nothing may be asked of other servers, and nothing may fail unseen. */
export async function open(browser: Browser, url: string, options: Parameters<Browser['newContext']>[0] = {}): Promise<Window> {
  const context = await browser.newContext({ baseURL: url, reducedMotion: 'reduce', ...options })
  const page = await context.newPage()
  page.setDefaultTimeout(45_000)
  let said: string[] = []
  page.on('console', (m) => { if (m.type() === 'error' || m.type() === 'warning') said.push(`${m.type()}: ${m.text()}`) })
  page.on('pageerror', (e) => said.push(`error: ${e.message}`))
  page.on('request', (r) => { if (!r.url().startsWith(url) && !/^(data|blob|about):/.test(r.url())) said.push(`request: ${r.url()}`) })
  return { page, context, complaints: () => { const all = said; said = []; return all } }
}

export async function signIn(page: Page, password: string, name = 'admin'): Promise<void> {
  await page.goto('/sign-in')
  await page.locator('input[name=username]').fill(name)
  await page.locator('input[name=password]').fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.waitForURL((u) => u.pathname !== '/sign-in')
}

/** Goes to another page as a link does, without loading everything anew. */
export async function go(page: Page, path: string): Promise<void> {
  await page.evaluate((to) => {
    history.pushState({}, '', to)
    dispatchEvent(new PopStateEvent('popstate', { state: {} }))
  }, path)
  await settle(page)
}

/** Waits until nothing is on its way. */
export async function settle(page: Page): Promise<void> {
  await page.locator('main h1, [role=dialog]').first().waitFor()
  // For a while, since a page that is still being fetched shows the one before it.
  await page.waitForFunction(() => {
    const at = globalThis as unknown as { idleSince?: number }
    if (document.querySelector('[aria-busy=true]') !== null) at.idleSince = undefined
    else at.idleSince ??= performance.now()
    const idle = at.idleSince !== undefined && performance.now() - at.idleSince > 250
    if (idle) at.idleSince = undefined
    return idle
  })
  await page.evaluate(() => document.fonts.ready)
}

/** Everything that axe finds against WCAG 2.1 A and AA. */
export async function accessible(page: Page, what: string): Promise<void> {
  if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(axe)
  const found = await page.evaluate(async () => {
    interface Result { violations: { id: string; help: string; nodes: { html: string; failureSummary: string }[] }[] }
    const run = (globalThis as unknown as { axe: { run: (where: Document, options: object) => Promise<Result> } }).axe.run
    const result = await run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'], resultTypes: ['violations'] })
    return result.violations.map((v) => `${v.id}: ${v.help}\n${v.nodes.slice(0, 3).map((n) => `   ${n.html.slice(0, 220)}\n     ${n.failureSummary.replaceAll('\n', ' ')}`).join('\n')}`)
  })
  expect(found, `${what}: ${page.url()}`).toEqual([])
}

/** A page that is wider than its window makes people scroll sideways. */
export async function fits(page: Page, what: string): Promise<void> {
  const over = await page.evaluate(() => {
    const width = document.documentElement.clientWidth
    if (document.documentElement.scrollWidth <= width) return ''
    const wide = [...document.querySelectorAll('main *')].filter((e) => e.getBoundingClientRect().right > width + 1)
    return `${document.documentElement.scrollWidth} of ${width}: ${wide.slice(0, 3).map((e) => e.outerHTML.slice(0, 120)).join(' | ')}`
  })
  expect(over, what).toBe('')
}

export async function shoot(page: Page, name: string): Promise<void> {
  mkdirSync(shots, { recursive: true })
  await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true })
}
