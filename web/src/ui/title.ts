/** Shortens digests, of which a window's title has no room for more. */
export function digestsOff(text: string): string {
  return text.replace(/(sha\d+:[0-9a-f]{12})[0-9a-f]+/g, '$1')
}
