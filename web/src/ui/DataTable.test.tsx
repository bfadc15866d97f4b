// @vitest-environment jsdom
import '../setup'

import { MantineProvider } from '@mantine/core'
import { render, screen } from '@testing-library/react'
import userEvent from '@testing-library/user-event'
import { expect, test, vi } from 'vitest'

import { DataTable } from './DataTable'

const columns = [
  { key: 'name', title: 'Name', lead: true, value: (r: { name: string }) => r.name, render: (r: { name: string }) => r.name },
  { key: 'size', title: 'Size', numeric: true, value: () => 1, render: () => '1 B' },
  { key: 'go', title: 'Actions', quiet: true, render: () => <button type="button">Go</button> },
]

test('a header sorts: names from A on, numbers from the greatest, and the other way at the second time', async () => {
  const onSort = vi.fn()
  const { rerender } = render(<MantineProvider><DataTable caption="Things" columns={columns} rows={[{ name: 'a' }]} rowKey={(r) => r.name} onSort={onSort} sort="" /></MantineProvider>)
  await userEvent.click(screen.getByRole('button', { name: /Name/ }))
  expect(onSort).toHaveBeenLastCalledWith('name')
  await userEvent.click(screen.getByRole('button', { name: /Size/ }))
  expect(onSort).toHaveBeenLastCalledWith('-size')
  rerender(<MantineProvider><DataTable caption="Things" columns={columns} rows={[{ name: 'a' }]} rowKey={(r) => r.name} onSort={onSort} sort="-size" /></MantineProvider>)
  expect(screen.getByRole('columnheader', { name: /Size/ }).getAttribute('aria-sort')).toBe('descending')
  await userEvent.click(screen.getByRole('button', { name: /Size/ }))
  expect(onSort).toHaveBeenLastCalledWith('size')
  expect(screen.getByRole('table', { name: 'Things' })).toBeTruthy()
  expect(screen.getByRole('columnheader', { name: 'Actions' })).toBeTruthy()
})

test('no rows say what to do', () => {
  render(<MantineProvider><DataTable caption="Things" columns={columns} rows={[]} rowKey={(r) => r.name} empty={<p>Make one.</p>} /></MantineProvider>)
  expect(screen.getByText('Make one.')).toBeTruthy()
  expect(screen.queryByRole('table')).toBeNull()
})
