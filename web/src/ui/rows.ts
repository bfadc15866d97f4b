import type { ReactNode } from 'react'

/** A column of a table. */
export interface Column<Row> {
  key: string
  title: string
  render: (row: Row) => ReactNode
  /** What the column sorts by; without, it does not. */
  value?: (row: Row) => string | number
  /** The server sorts by it. */
  sorted?: boolean
  /** The greatest come first when it is first sorted by; so it is with numbers. */
  down?: boolean
  /** Numbers stand right, so that their digits line up. */
  numeric?: boolean
  width?: string
  /** Takes a narrow screen's whole width, without its title. */
  lead?: boolean
  /** On a narrow screen it stands in a line with its like, as numbers do. */
  brief?: boolean
  /** On a narrow screen it stands in the corner. */
  corner?: boolean
  /** Its title is for those who do not see what the column holds. */
  quiet?: boolean
}

/** Sorts by a column's value: "-name" the greatest first. Equal rows keep their order. */
export function sortRows<Row>(rows: Row[], columns: Column<Row>[], sort: string): Row[] {
  const down = sort.startsWith('-')
  const value = columns.find((c) => c.key === sort.replace(/^-/, ''))?.value
  if (value === undefined) return rows
  return rows.toSorted((a, b) => {
    const x = value(a)
    const y = value(b)
    const order = typeof x === 'number' && typeof y === 'number' ? x - y : String(x).localeCompare(String(y), 'en', { numeric: true })
    return down ? -order : order
  })
}

/** The rows whose text has every word of a search. */
export function searchRows<Row>(rows: Row[], text: (row: Row) => string, search: string): Row[] {
  const words = search.toLowerCase().split(/\s+/).filter((w) => w !== '')
  if (words.length === 0) return rows
  return rows.filter((row) => {
    const all = text(row).toLowerCase()
    return words.every((w) => all.includes(w))
  })
}

/** A page of rows, from 1, with where it stands. */
export function pageOf<Row>(rows: Row[], page: number, size: number): { shown: Row[]; page: number; pages: number; from: number; to: number } {
  const pages = Math.max(1, Math.ceil(rows.length / size))
  const at = Math.min(Math.max(1, page), pages)
  const from = (at - 1) * size
  const shown = rows.slice(from, from + size)
  return { shown, page: at, pages, from: shown.length === 0 ? 0 : from + 1, to: from + shown.length }
}
