import { expect, test } from 'vitest'
import { mapPage } from './page.ts'

test('mapPage renders each row and keeps where the next page begins and how many there are', () => {
  const page = { data: [1, 2], next: [2, 'b'], total: 10_000, totalIsMore: true }
  expect(mapPage(page, (row) => ({ n: row }))).toEqual({ ...page, data: [{ n: 1 }, { n: 2 }] })
  expect(mapPage({ data: [], next: null }, String)).toEqual({ data: [], next: null })
})
