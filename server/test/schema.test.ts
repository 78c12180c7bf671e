import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { cloneDatabase, type TestDatabase } from './support/database.ts'
import { dumpSchema } from './support/schema-dump.ts'

const goldenFile = path.resolve(import.meta.dirname, '../schema.sql')

/** Tables whose rows are looked up from everywhere and may be referred to from everywhere. */
const referenceTables = new Set(['services', 'categories', 'users'])

/** Tables of the machinery: they belong to no aggregate, and their keys are of their own kind. */
const machinery = new Set([
  'schema_migrations',
  'rate_limits',
  'idempotency_keys',
  // The words that a search may have meant: made anew from the services.
  'service_words',
])

/** Unique indexes beyond the primary key that a rule of the business rests on, with the reason. */
const uniqueIndexes: Readonly<Record<string, string>> = {
  orders_number_key: 'a belt: the number comes from a sequence, and nobody catches the error',
  cases_number_key: 'a belt: the number comes from a sequence, and nobody catches the error',
  documents_key_key: 'a belt: 160 random bits, and nobody catches the error',
  signing_keys_period: 'a small table of the machinery: all nodes agree on one key a period',
}

/** Foreign keys across aggregates that are worth their cost, with the reason. */
const foreignKeysAcross: Readonly<Record<string, string>> = {}

let database: TestDatabase
let client: pg.Client

beforeAll(async () => {
  database = await cloneDatabase()
  client = new pg.Client({ connectionString: database.ownerUrl })
  await client.connect()
})
afterAll(async () => {
  await client.end()
  await database.drop()
})

interface ForeignKey {
  readonly name: string
  readonly to: string
  readonly columns: readonly string[]
  /** The first column that it leads to. */
  readonly toRoot: string
  readonly how: string
}

async function ask<Row extends object>(text: string): Promise<Row[]> {
  return (await client.query<Row>(text)).rows
}

test('server/schema.sql is what the migrations make (UPDATE_GOLDEN=1 rewrites it)', async () => {
  const dump = await dumpSchema(client)
  expect(dump).toContain('create table events')
  if (process.env['UPDATE_GOLDEN'] === '1') await writeFile(goldenFile, dump)
  expect(await readFile(goldenFile, 'utf8')).toBe(dump)
})

describe('the growth rules', () => {
  test('1. keys are text in the order of their bytes', async () => {
    const keys = await ask<{ at: string }>(`
      select c.relname || '.' || a.attname as at
      from pg_class c
      join pg_index i on i.indrelid = c.oid and i.indisprimary
      join pg_attribute a on a.attrelid = c.oid and a.attnum = any (i.indkey)
      left join pg_collation l on l.oid = a.attcollation
      where c.relnamespace = current_schema()::regnamespace
        and (a.atttypid <> 'text'::regtype or l.collname is distinct from 'C')
      order by 1`)
    expect(keys).toEqual([])
  })

  test('1. so are all columns that hold the id of another row', async () => {
    const columns = await ask<{ at: string }>(`
      select c.relname || '.' || a.attname as at
      from pg_class c
      join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      left join pg_collation l on l.oid = a.attcollation
      where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r'
        and a.attname ~ '_id$' and a.attname not in ('request_id')
        and (a.atttypid <> 'text'::regtype or l.collname is distinct from 'C')
      order by 1`)
    expect(columns).toEqual([])
  })

  test('1. every table has a key; a child has its root before its own id', async () => {
    const tables = await ask<{ name: string; key: string[] | null }>(`
      select c.relname as name, (
        select array_agg(a.attname::text order by k.position)
        from pg_index i, unnest(i.indkey) with ordinality as k (number, position)
        join pg_attribute a on a.attnum = k.number
        where i.indrelid = c.oid and i.indisprimary and a.attrelid = c.oid) as key
      from pg_class c
      where c.relkind = 'r' and c.relnamespace = current_schema()::regnamespace order by 1`)
    expect(tables.length).toBeGreaterThan(4)
    const wrong = tables.filter(({ name, key }) => !isGoodKey(name, key ?? []))
    expect(wrong).toEqual([])
  })

  test('3. what is unique beyond the key stands in the list above', async () => {
    const indexes = await ask<{ name: string; table: string; columns: string }>(`
      select i.indexrelid::regclass::text as name, i.indrelid::regclass::text as table,
        pg_get_indexdef(i.indexrelid) as columns
      from pg_index i join pg_class c on c.oid = i.indrelid
      where i.indisunique and not i.indisprimary
        and c.relnamespace = current_schema()::regnamespace order by 1`)
    expect(indexes.map(({ name }) => name)).toContain('events_root_id_root_version_key')
    const unexplained = indexes
      .filter(({ table }) => !referenceTables.has(table))
      .filter(({ columns }) => !/\((root|order|case)_id\b/.test(columns))
      .filter(({ name }) => !(name in uniqueIndexes))
    expect(unexplained.map(({ name }) => name)).toEqual([])
    const gone = Object.keys(uniqueIndexes).filter(
      (name) => !indexes.some((index) => index.name === name),
    )
    expect(gone).toEqual([])
  })

  test('4. foreign keys stay inside an aggregate or lead to a reference table; none cascades', async () => {
    const keys = await ask<ForeignKey>(`
      select k.conname as name, k.confrelid::regclass::text as to,
        array(select a.attname::text from unnest(k.conkey) as n
          join pg_attribute a on a.attrelid = k.conrelid and a.attnum = n) as columns,
        (select a.attname::text from pg_attribute a
          where a.attrelid = k.confrelid and a.attnum = k.confkey[1]) as "toRoot",
        k.confdeltype::text || k.confupdtype::text as how
      from pg_constraint k join pg_class c on c.oid = k.conrelid
      where k.contype = 'f' and c.relnamespace = current_schema()::regnamespace order by 1`)
    expect(keys.filter(({ how }) => how !== 'aa').map(({ name }) => name)).toEqual([])
    const across = keys
      .filter(({ to }) => !referenceTables.has(to))
      .filter((key) => !isWithinAggregate(key))
      .filter(({ name }) => !(name in foreignKeysAcross))
    expect(across.map(({ name }) => name)).toEqual([])
  })

  test('4. a reference table holds nothing that changes with each request', async () => {
    const hot = await ask<{ at: string }>(`
      select table_name || '.' || column_name as at from information_schema.columns
      where table_schema = current_schema() and table_name in ('services', 'categories', 'users')
        and column_name ~ '(last_seen|last_used|last_login|_count|views)'`)
    expect(hot).toEqual([])
  })

  test('7. no identity, no serial, no generated key', async () => {
    const columns = await ask<{ at: string }>(`
      select table_name || '.' || column_name as at from information_schema.columns
      where table_schema = current_schema()
        and (is_identity = 'YES' or column_default like 'nextval(%')`)
    expect(columns).toEqual([])
  })

  test('7. no column fills itself with time or chance', async () => {
    const columns = await ask<{ at: string }>(`
      select table_name || '.' || column_name as at from information_schema.columns
      where table_schema = current_schema()
        and column_default ~* '(now\\(|current_timestamp|random|uuid)'`)
    expect(columns).toEqual([])
  })

  test('7. no deferrable and no exclusion constraint', async () => {
    const constraints = await ask<{ name: string }>(`
      select k.conname as name from pg_constraint k join pg_class c on c.oid = k.conrelid
      where c.relnamespace = current_schema()::regnamespace
        and (k.condeferrable or k.contype = 'x')`)
    expect(constraints).toEqual([])
  })

  test('7. no trigger and no function where there are two roles', async () => {
    const triggers = await ask<{ name: string }>(`
      select t.tgname as name from pg_trigger t join pg_class c on c.oid = t.tgrelid
      where c.relnamespace = current_schema()::regnamespace and not t.tgisinternal`)
    expect(triggers).toEqual([])
    const functions = await ask<{ name: string }>(`
      select p.proname as name from pg_proc p
      where p.pronamespace = current_schema()::regnamespace
        and not exists (select 1 from pg_depend d where d.objid = p.oid and d.deptype = 'e')`)
    expect(functions).toEqual([])
  })
})

/** One id, or the root's id and then the row's own; the machinery has keys of its own kind. */
function isGoodKey(table: string, key: readonly string[]): boolean {
  if (machinery.has(table)) return key.length === 1
  if (key.length === 1) return /^(\w+_)?id$/.test(key[0] ?? '')
  return key.length === 2 && key[0]?.endsWith('_id') === true && /(^|_)id$/.test(key[1] ?? '')
}

/** `order_id` leads to `orders`, or to another row of that order by the same first column. */
function isWithinAggregate({ to, columns, toRoot }: ForeignKey): boolean {
  const [root] = columns
  return root === `${to.replace(/s$/, '')}_id` || (columns.length > 1 && root === toRoot)
}
