/** What changes were made to, as choices: with its dot, an action begins with it. The chosen one stays. */
export function kindsOf(actions: string[], chosen: string): { value: string; label: string }[] {
  const kinds = new Set(actions.map((action) => `${action.split('.')[0]}.`))
  if (chosen !== '') kinds.add(chosen)
  return [...kinds].toSorted().map((value) => ({ value, label: value.replace(/\.$/, '').replaceAll('-', ' ') }))
}
