import type { Schemas } from '../api/client'

export type RoleName = Schemas['ScopedRole']['role']

/** The roles, and what each lets one do: see docs/administration.md. */
export const roles: { value: RoleName; label: string }[] = [
  { value: 'read', label: 'read: pull, and see what is known' },
  { value: 'publish', label: 'publish: read, and push' },
  { value: 'assess', label: 'assess: read, and decide on vulnerabilities' },
  { value: 'maintain', label: 'maintain: all of these, and delete images' },
  { value: 'administer', label: 'administer: all, and change settings and roles' },
]

/** Roles in words, as in "publish in main". */
export function roleWords(list: Schemas['ScopedRole'][]): string {
  return list.map((r) => `${r.role} ${r.registry ? `in ${r.registry}` : 'everywhere'}`).join(', ')
}
