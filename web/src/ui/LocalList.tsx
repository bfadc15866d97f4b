import { Group, TextInput } from '@mantine/core'
import { IconSearch } from '@tabler/icons-react'
import type { ReactNode } from 'react'

import { DataTable } from './DataTable'
import { Empty } from './Empty'
import { number } from './format'
import { Pager } from './Pager'
import { type Column, pageOf, searchRows, sortRows } from './rows'
import { useUrlState } from './urlState'

interface Props<Row> {
  caption: string
  columns: Column<Row>[]
  rows: Row[]
  rowKey: (row: Row) => string
  /** What a search looks at. */
  text: (row: Row) => string
  searchLabel: string
  defaultSort?: string
  filters?: ReactNode
  /** Shown where there is nothing at all, whatever the filters are. */
  empty: ReactNode
  /** How many rows there are before the filters that the page applied. */
  all?: number
}

/** A list that is here as a whole: searched, sorted and paged in the browser, by the address. */
export function LocalList<Row>({ caption, columns, rows, rowKey, text, searchLabel, defaultSort = '', filters, empty, all }: Props<Row>) {
  const url = useUrlState()
  if ((all ?? rows.length) === 0) return <>{empty}</>
  const search = url.get('q')
  const sort = url.get('sort') || defaultSort
  const size = Number(url.get('size')) || 50
  const found = sortRows(searchRows(rows, text, search), columns, sort)
  const page = pageOf(found, Number(url.get('page')) || 1, size)
  return (
    <>
      <Group gap="xs" mb="sm" align="flex-end">
        <TextInput
          type="search" size="xs" aria-label={searchLabel} placeholder={searchLabel} leftSection={<IconSearch size={14} aria-hidden />}
          value={search} onChange={(e) => url.set({ q: e.currentTarget.value })} w={{ base: '100%', xs: 240 }}
        />
        {filters}
      </Group>
      <DataTable
        caption={caption} columns={columns} rows={page.shown} rowKey={rowKey} sort={sort}
        onSort={(next) => url.set({ sort: next === defaultSort ? '' : next })}
        empty={<Empty title="Nothing matches">Change the search or the filters above: {number(all ?? rows.length)} are hidden.</Empty>}
      />
      <Pager
        from={page.from} to={page.to} of={found.length} size={size}
        onSize={(n) => url.set({ size: n === 50 ? '' : String(n) })}
        onPrevious={page.page > 1 ? () => url.set({ page: String(page.page - 1) }, { keepPage: true, push: true }) : undefined}
        onNext={page.page < page.pages ? () => url.set({ page: String(page.page + 1) }, { keepPage: true, push: true }) : undefined}
      />
    </>
  )
}
