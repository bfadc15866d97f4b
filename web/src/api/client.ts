import createFetchClient, { type Middleware } from 'openapi-fetch'
import createQueryClient from 'openapi-react-query'

import type { components, paths } from './schema'

export type Schemas = components['schemas']

/** What went wrong, as the server says it (RFC 9457), or as we see it. */
export class Problem extends Error {
  readonly status: number
  readonly fields: { location: string; message: string }[]

  constructor(status: number, detail: string, fields: { location: string; message: string }[] = []) {
    super(detail)
    this.name = 'Problem'
    this.status = status
    this.fields = fields
  }
}

/** What is wrong with a field of a form, as the server says it, to be shown at the field. */
export function wrongWith(field: string, error: unknown): string | undefined {
  const at = `body.${field}`
  return error instanceof Problem ? error.fields.find(({ location }) => location === at || location.startsWith(`${at}.`) || location.startsWith(`${at}[`))?.message : undefined
}

/** The problem of an answer. */
export async function problemOf(response: Response): Promise<Problem> {
  try {
    const body = (await response.clone().json()) as Partial<Schemas['ErrorModel']>
    const fields = (body.errors ?? []).map((e) => ({ location: e.location ?? '', message: e.message ?? '' }))
    return new Problem(response.status, body.detail ?? body.title ?? response.statusText, fields)
  } catch {
    return new Problem(response.status, response.statusText || `The server answered ${response.status}.`)
  }
}

// Every failure is thrown as a Problem, so that pages know one kind of it.
const failures: Middleware = {
  async onResponse({ response }) {
    if (!response.ok) throw await problemOf(response)
  },
  onError({ error }) {
    if (error instanceof Problem) return error
    if (error instanceof DOMException && error.name === 'AbortError') return error
    return new Problem(0, 'The server cannot be reached.')
  },
}

export const client = createFetchClient<paths>({ baseUrl: '/api/v1' })
client.use(failures)

/** Typed hooks over the REST interface. */
export const api = createQueryClient(client)

/** Reads a list to its end, page after page, up to a bound. */
export async function readAll<T>(
  page: (token: string) => Promise<{ items: T[]; next_page_token: string }>,
  most = 20,
): Promise<{ items: T[]; complete: boolean }> {
  const items: T[] = []
  let token = ''
  for (let n = 0; n < most; n++) {
    const next = await page(token)
    items.push(...next.items)
    token = next.next_page_token
    if (token === '') return { items, complete: true }
  }
  return { items, complete: false }
}
