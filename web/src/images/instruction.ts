/** The instruction of a Dockerfile that a layer's history tells of. */
export function instruction(createdBy: string): { word: string; rest: string } {
  const text = createdBy.replace(/^\/bin\/sh -c #\(nop\)\s+/, '').replace(/^\/bin\/sh -c\s+/, 'RUN ').replace(/\s*# buildkit$/, '').replace(/^RUN \/bin\/sh -c\s+/, 'RUN ').trim()
  if (text === '') return { word: '', rest: 'The image does not tell.' }
  const match = /^([A-Z]+)\s+([\s\S]*)$/.exec(text)
  return match ? { word: match[1] ?? '', rest: match[2] ?? '' } : { word: 'RUN', rest: text }
}
