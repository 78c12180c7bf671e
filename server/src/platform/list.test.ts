import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { serveTable, type ServedTable } from '../../test/support/table.ts'
import type { Page, Position, Sort } from '../kernel/page.ts'
import { contains, fetchPage, type ListDefinition } from './list.ts'
import { sql } from './sql.ts'

interface Filters {
  readonly kind?: string
}
interface Row {
  readonly key: string
  readonly hits: number
}

/** Twenty rows of which four are alike in the sort and four have no value in it. */
const list: ListDefinition<Filters> = {
  columns: sql`key, hits`,
  from: sql`(select key, hits, nullif(hits % 5, 4) as fifth, expires_at from rate_limits) as rows`,
  where: sql`hits >= 0`,
  id: sql`key`,
  sorts: {
    hits: { column: sql`hits`, type: sql`int` },
    fifth: { column: sql`fifth`, type: sql`int`, nullable: true },
    expiresAt: { column: sql`expires_at`, type: sql`timestamptz` },
  },
  filters: { kind: (kind) => sql`key like ${`${kind}%`}` },
}

let served: ServedTable

beforeAll(async () => {
  served = await serveTable([])
  await served.db.run(sql`
    insert into rate_limits (key, hits, expires_at)
    select case when n % 2 = 0 then 'even' else 'odd' end || lpad(n::text, 2, '0'), n,
      '2026-01-01T00:00:00.123Z'::timestamptz + (n / 3) * interval '1 second'
    from generate_series(0, 19) as n`)
})
afterAll(async () => {
  await served.close()
})

async function readAll(sort: Sort, limit: number, filters: Filters = {}): Promise<Row[]> {
  const rows: Row[] = []
  let after: Position | null = null
  do {
    const page: Page<Row> = await fetchPage(served.db, list, {
      page: { limit, sort, after, count: false },
      filters,
    })
    expect(page.data.length).toBeLessThanOrEqual(limit)
    rows.push(...page.data)
    // As the cursor carries it: through JSON.
    after = page.next && (JSON.parse(JSON.stringify(page.next)) as Position)
  } while (after)
  return rows
}

describe('fetchPage', () => {
  const sorts = Object.keys(list.sorts).flatMap((field) =>
    (['asc', 'desc'] as const).map((direction) => ({ field, direction })),
  )

  test.each(sorts)('reads each row once by $field $direction, in any page size', async (sort) => {
    const whole = await readAll(sort, 100)
    expect(whole).toHaveLength(20)
    for (const limit of [1, 3, 4, 19, 20]) expect(await readAll(sort, limit)).toEqual(whole)
  })

  test('puts nulls last both ways', async () => {
    const fifths = async (direction: Sort['direction']) =>
      (await readAll({ field: 'fifth', direction }, 3)).map(({ hits }) => hits % 5)
    expect((await fifths('asc')).slice(-4)).toEqual([4, 4, 4, 4])
    expect((await fifths('desc')).slice(-4)).toEqual([4, 4, 4, 4])
    expect((await fifths('desc'))[0]).toBe(3)
  })

  test('shows the columns that it names and nothing of the keyset', async () => {
    const [row] = await readAll({ field: 'hits', direction: 'asc' }, 1)
    expect(row).toEqual({ key: 'even00', hits: 0 })
  })

  test('filters, counts what was filtered, and is empty where nothing fits', async () => {
    const ask = (filters: Filters) =>
      fetchPage<Row, Filters>(served.db, list, {
        page: { limit: 3, sort: { field: 'hits', direction: 'asc' }, after: null, count: true },
        filters,
      })
    expect(await ask({ kind: 'odd' })).toMatchObject({ total: 10, next: [5, 'odd05'] })
    expect(await ask({})).toMatchObject({ total: 20 })
    expect(await ask({ kind: 'none' })).toEqual({ data: [], next: null, total: 0 })
  })

  test('a page that ends with the last row is the last page', async () => {
    const page = await fetchPage<Row, Filters>(served.db, list, {
      page: { limit: 20, sort: { field: 'hits', direction: 'asc' }, after: null, count: false },
      filters: {},
    })
    expect(page.next).toBeNull()
  })
})

/** Three thousand rows: a search among them finds ten, or far more than are sorted by themselves. */
const searched: ListDefinition<{ readonly q?: string }> = {
  columns: sql`key, hits`,
  from: sql`(select 'row' || lpad(n::text, 5, '0') as key, n % 7 as hits
    from generate_series(0, 2999) as n) as rows`,
  id: sql`key`,
  sorts: { hits: { column: sql`hits`, type: sql`int` } },
  filters: { q: (q) => contains(sql`key`, q) },
}

describe('a search', () => {
  test.each([
    ['few', 'row0012', 10],
    ['many', 'row', 3000],
    ['nothing', 'column', 0],
  ])('that finds %s reads each row once, in order, a page a statement', async (_what, q, count) => {
    for (const direction of ['asc', 'desc'] as const) {
      const rows: Row[] = []
      let after: Position | null = null
      do {
        const before = served.db.statementCount()
        const page: Page<Row> = await fetchPage(served.db, searched, {
          page: { limit: 400, sort: { field: 'hits', direction }, after, count: false },
          filters: { q },
        })
        expect(served.db.statementCount() - before).toBe(1)
        rows.push(...page.data)
        after = page.next
      } while (after)
      expect(rows).toHaveLength(count)
      const upwards = rows.toSorted((a, b) => a.hits - b.hits || (a.key < b.key ? -1 : 1))
      expect(rows).toEqual(direction === 'asc' ? upwards : upwards.toReversed())
    }
  })
})
