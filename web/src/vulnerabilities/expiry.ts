export function isDate(text: string): boolean {
  return /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(Date.parse(text))
}

/** The end of a day, as it is sent. */
export function endOf(day: string): string {
  return new Date(Date.parse(day) + 86_400_000).toISOString()
}

/** What to send as an assessment's expiry: absent as the type's, null for never, else the end of a day; a day that is still being typed is none. */
export function expiryOf(kind: 'default' | 'never' | 'date', day: string): { expires_at?: string | null } {
  if (kind === 'never') return { expires_at: null }
  if (kind === 'default' || !isDate(day)) return {}
  return { expires_at: endOf(day) }
}
