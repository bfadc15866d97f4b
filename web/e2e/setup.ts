import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  interface ProvidedContext {
    /** The program that runs a server for a test. */
    program: string
  }
}

/** Compiles the server, with the interface that was built before; PRATIQUE_HARBOUR is one that is compiled. */
export default function setup(project: TestProject): (() => void) | undefined {
  const made = process.env.PRATIQUE_HARBOUR
  if (made) {
    project.provide('program', made)
    return undefined
  }
  const dir = mkdtempSync(join(tmpdir(), 'pratique-e2e-'))
  const program = join(dir, 'harbour')
  execFileSync('go', ['build', '-o', program, './test/web'], { cwd: join(import.meta.dirname, '../..'), stdio: 'inherit', env: { ...process.env, CGO_ENABLED: '0' } })
  project.provide('program', program)
  return () => rmSync(dir, { recursive: true, force: true })
}
