export interface PackageChange {
  type: string
  name: string
  from: string[]
  to: string[]
}

interface Installed {
  type: string
  name: string
  version: string
}

/** The packages whose versions differ between two images, by name. */
export function packageChanges(from: Installed[], to: Installed[]): PackageChange[] {
  const changes = new Map<string, PackageChange>()
  for (const [list, side] of [[from, 'from'], [to, 'to']] as const) {
    for (const p of list) {
      const key = `${p.type}|${p.name}`
      const change = changes.get(key) ?? { type: p.type, name: p.name, from: [], to: [] }
      if (!change[side].includes(p.version)) change[side].push(p.version)
      changes.set(key, change)
    }
  }
  return [...changes.values()]
    .filter((c) => c.from.toSorted().join('|') !== c.to.toSorted().join('|'))
    .toSorted((a, b) => a.name.localeCompare(b.name) || a.type.localeCompare(b.type))
}
