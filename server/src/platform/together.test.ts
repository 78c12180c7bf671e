import { afterAll, beforeAll, expect, test } from 'vitest'
import { serveTable, type ServedTable } from '../../test/support/table.ts'
import { sql } from './sql.ts'
import { fetchTogether, type Part } from './together.ts'

interface Row {
  readonly rowNumber: number
  readonly madeAt: Date
  readonly endedAt: Date | null
  readonly note: string | null
  readonly data: Record<string, unknown>
}

/** Rows such as tables have, downwards by their number. */
const rowsTo = (count: number): Part<Row> => ({
  query: sql`
    select n as row_number,
      '2026-03-01T10:00:00.123456Z'::timestamptz + n * interval '1 hour' as made_at,
      case when n > 1 then '2026-03-02'::timestamptz end as ended_at,
      case when n > 1 then 'ends “here” \\ 2026-01-01T00:00:00Z' end as note,
      jsonb_build_object('in_ner', jsonb_build_array(n, null, 'ü'),
        'made_at', '2026-01-01') as data
    from generate_series(1, ${count}::int) as n order by n desc limit 100`,
  instants: { madeAt: true, endedAt: true },
})

let served: ServedTable

beforeAll(async () => {
  served = await serveTable([])
})
afterAll(async () => {
  await served.close()
})

test('each list is what its query alone would give, by one statement', async () => {
  const alone = await served.db.many<Row>(rowsTo(3).query)
  expect(alone).toHaveLength(3)
  const before = served.db.statementCount()
  const found = await fetchTogether(served.db, {
    three: rowsTo(3),
    none: rowsTo(0),
    one: rowsTo(1),
  })
  expect(served.db.statementCount() - before).toBe(1)
  expect(found.three).toEqual(alone)
  expect(found.three.map(({ rowNumber }) => rowNumber)).toEqual([3, 2, 1])
  expect(found.three[0]?.madeAt).toEqual(new Date('2026-03-01T13:00:00.123Z'))
  expect(found.three[0]?.data).toEqual({ in_ner: [3, null, 'ü'], made_at: '2026-01-01' })
  expect(found.none).toEqual([])
  expect(found.one).toEqual(alone.slice(-1))
})
