import { NativeSelect, VisuallyHidden } from '@mantine/core'
import type { ReactNode } from 'react'

import classes from './DataTable.module.css'
import type { Column } from './rows'

interface Props<Row> {
  /** What the table lists, for those who do not see where it stands. */
  caption: string
  columns: Column<Row>[]
  rows: Row[]
  rowKey: (row: Row) => string
  sort?: string
  onSort?: (sort: string) => void
  /** What to say in the place of no rows. */
  empty?: ReactNode
}

/**
 * A table. On a narrow screen each row becomes a card; its roles are written out,
 * since browsers forget that of a table which is not laid out as one.
 */
export function DataTable<Row>({ caption, columns, rows, rowKey, sort = '', onSort, empty }: Props<Row>) {
  if (rows.length === 0 && empty !== undefined) return <>{empty}</>
  const sorts = (c: Column<Row>) => onSort !== undefined && (c.value !== undefined || c.sorted === true)
  const sortable = columns.filter(sorts)
  const [key, down] = sort.startsWith('-') ? [sort.slice(1), true] : [sort, false]
  return (
    <>
      {sortable.length > 0 && (
        <div className={classes.narrowSort}>
          <NativeSelect
            size="xs" mb={8} aria-label="Sort by" value={sort} onChange={(e) => onSort?.(e.currentTarget.value)}
            data={[{ value: '', label: 'Sort as given' }, ...sortable.flatMap((c) => [
              { value: c.key, label: `${c.title}, least first` }, { value: `-${c.key}`, label: `${c.title}, most first` },
            ])]}
          />
        </div>
      )}
      <div className={classes.wrap}>
        <table role="table" className={classes.table}>
          <caption>{caption}</caption>
          <thead role="rowgroup">
            <tr role="row">
              {columns.map((c) => {
                const sorted = c.key === key && sort !== ''
                const can = sorts(c)
                return (
                  <th
                    key={c.key} role="columnheader" scope="col" style={c.width === undefined ? undefined : { width: c.width }}
                    className={`${c.numeric ? classes.numeric : ''} ${sorted ? classes.sorted : ''}`}
                    aria-sort={sorted ? (down ? 'descending' : 'ascending') : undefined}
                  >
                    {can ? (
                      <button type="button" className={classes.sort} onClick={() => onSort?.(next(c, sort))}>
                        {c.title}
                        <span aria-hidden className={classes.arrow}>{sorted ? (down ? '▾' : '▴') : '▿'}</span>
                      </button>
                    ) : c.quiet ? <VisuallyHidden>{c.title}</VisuallyHidden> : c.title}
                  </th>
                )
              })}
            </tr>
          </thead>
          <tbody role="rowgroup">
            {rows.map((row) => (
              <tr key={rowKey(row)} role="row">
                {columns.map((c) => {
                  const shown = c.render(row)
                  const blank = shown === null || shown === '' || shown === undefined
                  return (
                    <td
                      key={c.key} role="cell"
                      className={`${c.numeric ? classes.numeric : ''} ${c.lead ? classes.lead : ''} ${c.brief || c.numeric ? classes.brief : ''} ${c.corner ? classes.corner : ''} ${blank ? classes.blank : ''}`}
                    >
                      {!c.lead && !c.quiet && <span className={classes.label} aria-hidden>{c.title}</span>}
                      <div className={classes.value}>{shown}</div>
                    </td>
                  )
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  )
}

/** Numbers are of interest where they are great, names from A on. */
function next<Row>(column: Column<Row>, sort: string): string {
  const down = column.down ?? column.numeric ?? false
  const first = down ? `-${column.key}` : column.key
  const second = down ? column.key : `-${column.key}`
  return sort === first ? second : first
}
