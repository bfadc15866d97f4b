import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

import { inject } from 'vitest'

/** A server of a test, with its hand on the clock. */
export interface Harbour {
  url: string
  password: string
  push: (repository: string, tag: string, edition: number) => Promise<string>
  /** What a pull is refused with; "" where it is not. */
  pull: (repository: string, tag: string) => Promise<string>
  advance: (by: string) => Promise<void>
  /** Makes what a month of work leaves, and answers with the images' digests by name. */
  fill: () => Promise<Record<string, string>>
  stop: () => Promise<void>
}

export async function startHarbour(...args: string[]): Promise<Harbour> {
  const process: ChildProcess = spawn(inject('program'), args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = new Promise<void>((resolve) => process.once('exit', () => resolve()))
  const first = await new Promise<string>((resolve, reject) => {
    createInterface({ input: process.stdout! }).once('line', resolve)
    process.once('exit', (code) => reject(new Error(`the server ended with ${code}`)))
  })
  const at = JSON.parse(first) as { url: string; control: string; password: string }
  const control = async (path: string, query: Record<string, string> = {}) => {
    const answer = await fetch(`${at.control}${path}?${new URLSearchParams(query).toString()}`, { method: 'POST' })
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
    return answer.json() as Promise<unknown>
  }
  return {
    url: at.url,
    password: at.password,
    push: async (repository, tag, edition) => (await control('/push', { repository, tag, edition: String(edition) })) as string,
    pull: async (repository, tag) => (await control('/pull', { repository, tag })) as string,
    advance: async (by) => void (await control('/advance', { by })),
    fill: async () => (await control('/fill')) as Record<string, string>,
    stop: async () => {
      process.stdin!.end()
      await ended
    },
  }
}
