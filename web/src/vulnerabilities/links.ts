/** Whether an address that a feed brought may become a link: nothing but the web. */
export function safeLink(address: string): boolean {
  try {
    return ['https:', 'http:'].includes(new URL(address).protocol)
  } catch {
    return false
  }
}
