export interface Metric {
  name: string
  value: string
  /** From 0, harmless, to 1, as bad as can be. */
  weight: number
}

type Table = Record<string, [name: string, values: Record<string, [string, number]>]>

const impact: Record<string, [string, number]> = { N: ['none', 0], L: ['low', 0.5], H: ['high', 1], P: ['partial', 0.5], C: ['complete', 1] }

const three: Table = {
  AV: ['Attack vector', { N: ['network', 1], A: ['adjacent', 0.7], L: ['local', 0.45], P: ['physical', 0.2] }],
  AC: ['Complexity', { L: ['low', 1], H: ['high', 0.4] }],
  PR: ['Privileges', { N: ['none', 1], L: ['low', 0.6], H: ['high', 0.3] }],
  UI: ['User interaction', { N: ['none', 1], R: ['required', 0.5] }],
  S: ['Scope', { U: ['unchanged', 0.4], C: ['changed', 1] }],
  C: ['Confidentiality', impact],
  I: ['Integrity', impact],
  A: ['Availability', impact],
}

const four: Table = {
  ...three,
  AT: ['Requirements', { N: ['none', 1], P: ['present', 0.5] }],
  UI: ['User interaction', { N: ['none', 1], P: ['passive', 0.7], A: ['active', 0.4] }],
  VC: ['Confidentiality', impact],
  VI: ['Integrity', impact],
  VA: ['Availability', impact],
  SC: ['Confidentiality beyond', impact],
  SI: ['Integrity beyond', impact],
  SA: ['Availability beyond', impact],
}

const two: Table = {
  AV: three.AV!,
  AC: ['Complexity', { L: ['low', 1], M: ['medium', 0.7], H: ['high', 0.4] }],
  Au: ['Authentication', { N: ['none', 1], S: ['single', 0.6], M: ['multiple', 0.3] }],
  C: three.C!,
  I: three.I!,
  A: three.A!,
}

/** The base metrics of a CVSS vector in words, in its order; what is not known is left out. */
export function metrics(vector: string): Metric[] {
  const table = vector.startsWith('CVSS:4') ? four : vector.startsWith('CVSS:3') ? three : two
  return vector.replace(/^CVSS:[\d.]+\//, '').replace(/^\(|\)$/g, '').split('/').flatMap((part) => {
    const [key = '', code = ''] = part.split(':')
    const known = table[key]
    const value = known?.[1][code]
    return known && value ? [{ name: known[0], value: value[0], weight: value[1] }] : []
  })
}
