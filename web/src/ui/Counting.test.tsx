// @vitest-environment jsdom
import '../setup'

import { MantineProvider } from '@mantine/core'
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { act, render, screen, waitFor } from '@testing-library/react'
import { expect, test } from 'vitest'

import { Counting } from './Counting'

test('says what is left to be counted, and has everything asked for again when nothing is', async () => {
  const queries = new QueryClient({ defaultOptions: { queries: { staleTime: Infinity } } })
  const stats = (uncounted: number) => act(() => queries.setQueryData(['get', '/stats'], { uncounted }))
  const stale = () => queries.getQueryState(['get', '/vulnerabilities'])?.isInvalidated
  queries.setQueryData(['get', '/vulnerabilities'], {})
  stats(3)
  render(<MantineProvider><QueryClientProvider client={queries}><Counting /></QueryClientProvider></MantineProvider>)
  expect(screen.getByText(/^Much has just changed\. 3 images and vulnerabilities are still/)).toBeTruthy()
  stats(1)
  await waitFor(() => expect(screen.getByRole('status').textContent).toContain('1 image or vulnerability is still'))
  expect(stale()).toBe(false)
  stats(0)
  await waitFor(() => expect(stale()).toBe(true))
  expect(screen.getByRole('status').textContent).toBe('')
})
