import pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { connectForCopies } from './backup/index.ts'
import { transactionOn, type Tx } from './database.ts'

/** The value of a column as PostgreSQL writes it. */
export type TextValue = string | null

export interface Column {
  readonly name: string
  readonly isInstant: boolean
}

export interface TextRows {
  readonly columns: readonly Column[]
  readonly rows: readonly (readonly TextValue[])[]
}

/** One transaction over a few tables, in which rows come by COPY. */
export interface BulkLoad {
  /** The same transaction, for statements that a module offers. */
  readonly tx: Tx
  /** The rows whose column has one of these values; generated columns are left out. */
  read(table: string, where: { column: string; values: readonly string[] }): Promise<TextRows>
  /** Adds rows: each is a line of COPY's text format, with its end. */
  add(table: string, columns: readonly Column[], lines: Iterable<string>): Promise<void>
  /** What the sequence gave last, and then `by` more. */
  advance(sequence: string, by: number): Promise<number>
}

export interface BulkOptions {
  readonly ownerUrl: string
  /** Those that many rows are added to. */
  readonly tables: readonly string[]
  /** Told after each index that is built again. */
  readonly indexed: (done: number, all: number) => void
}

/**
 * Adds very many rows: the indexes that no constraint needs are dropped before and built after, at
 * once instead of row by row. All of it is one transaction; nothing is left of one that fails.
 */
export async function loadInBulk(
  { ownerUrl, tables, indexed }: BulkOptions,
  work: (load: BulkLoad) => Promise<void>,
): Promise<void> {
  const client = await connectForCopies(ownerUrl, 'bureau seed')
  try {
    await client.query('begin')
    await client.query(`set local maintenance_work_mem = '256MB'`)
    const indexes = await dropIndexes(client, tables)
    await work(bulkLoad(client))
    for (const [nth, definition] of indexes.entries()) {
      await client.query(definition)
      indexed(nth + 1, indexes.length)
    }
    await client.query('commit')
    // The planner has to know the new sizes, and index-only scans which pages all may see.
    for (const table of tables) await client.query(`vacuum analyze ${pg.escapeIdentifier(table)}`)
  } finally {
    await client.end()
  }
}

function bulkLoad(client: pg.Client): BulkLoad {
  return {
    tx: transactionOn(client),
    read: async (table, { column, values }) => {
      const columns = await columnsOf(client, table)
      const list = columns.map(({ name }) => `${pg.escapeIdentifier(name)}::text`).join(', ')
      const { rows } = await client.query<TextValue[]>({
        text: `select ${list} from ${pg.escapeIdentifier(table)}
          where ${pg.escapeIdentifier(column)} = any($1) order by 1, 2`,
        values: [values],
        rowMode: 'array',
      })
      return { columns, rows }
    },
    add: async (table, columns, lines) => {
      const list = columns.map(({ name }) => pg.escapeIdentifier(name)).join(', ')
      const copy = copyFrom(`copy ${pg.escapeIdentifier(table)} (${list}) from stdin`)
      await pipeline(Readable.from(chunksOf(lines)), client.query(copy))
    },
    advance: async (sequence, by) => {
      const { rows } = await client.query<{ last: string }>(
        'select nextval($1::regclass) as last',
        [sequence],
      )
      const last = Number(rows[0]?.last)
      await client.query('select setval($1::regclass, $2)', [sequence, last + by])
      return last
    },
  }
}

async function columnsOf(client: pg.Client, table: string): Promise<Column[]> {
  const { rows } = await client.query<Column>(
    `select attname::text as name, atttypid = 'timestamptz'::regtype as "isInstant"
     from pg_attribute
     where attrelid = $1::regclass and attnum > 0 and not attisdropped and attgenerated = ''
     order by attnum`,
    [pg.escapeIdentifier(table)],
  )
  return rows
}

/** Gives the statements that build them again. */
async function dropIndexes(client: pg.Client, tables: readonly string[]): Promise<string[]> {
  const { rows } = await client.query<{ name: string; definition: string }>(
    `select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as definition
     from pg_index
     where indrelid = any($1::regclass[]) and not exists (
       select from pg_constraint where conindid = indexrelid)`,
    [tables.map((table) => pg.escapeIdentifier(table))],
  )
  for (const { name } of rows) await client.query(`drop index ${name}`)
  return rows.map(({ definition }) => definition)
}

const linesOfChunk = 200

function* chunksOf(lines: Iterable<string>): Generator<string> {
  let chunk: string[] = []
  for (const line of lines) {
    if (chunk.push(line) < linesOfChunk) continue
    yield chunk.join('')
    chunk = []
  }
  if (chunk.length > 0) yield chunk.join('')
}

/** One line of COPY's text format without its end. */
export function copyLine(values: readonly TextValue[]): string {
  return values.map((value) => (value === null ? '\\N' : copyText(value))).join('\t')
}

export function copyText(value: string): string {
  return value.replaceAll(/[\\\n\r\t]/g, (character) => escapes[character] ?? character)
}

const escapes: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
}
