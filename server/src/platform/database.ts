import pg from 'pg'
import { AppError, unavailable } from '../kernel/errors.ts'
import { compile, type Sql } from './sql.ts'

/** What a statement can be run on; rows come with their column names in camelCase. */
export interface Queryable {
  many<Row extends object>(statement: Sql): Promise<Row[]>
  /** At most one row. */
  maybeOne<Row extends object>(statement: Sql): Promise<Row | undefined>
  /** Exactly one row; anything else is a bug. */
  one<Row extends object>(statement: Sql): Promise<Row>
  /** For its effect: how many rows it touched. */
  run(statement: Sql): Promise<number>
}

export interface Tx extends Queryable {
  readonly kind: 'transaction'
}

export interface Pool extends Queryable {
  readonly kind: 'pool'
  /** Runs `work` on one connection between BEGIN and COMMIT; any throw rolls back. */
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>
  /** Statements sent since the start, BEGIN and COMMIT included. */
  statementCount(): number
  /** The driver's pool, for libraries that bring their own SQL. */
  readonly driver: pg.Pool
  close(): Promise<void>
}

export type Db = Pool | Tx

export interface DatabaseOptions {
  readonly url: string
  /** Connections at most. */
  readonly size: number
  /** False behind a pooler in transaction mode, where a name may meet another session. */
  readonly namedStatements: boolean
  /** A statement or the wait for a connection ends after this. */
  readonly timeoutMs: number
  readonly onError: (error: Error) => void
}

/** How many requests may wait for a connection, for each connection that there is. */
const waitersPerConnection = 50

export function openPool(options: DatabaseOptions): Pool {
  const driver = openDriver(options)
  const sender = createSender(options)

  async function withClient<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    if (driver.waitingCount >= options.size * waitersPerConnection) {
      throw unavailable({ retryAfterSeconds: 1, facts: { reason: 'connection queue full' } })
    }
    const client = await driver.connect().catch((error: unknown) => {
      throw asUnavailable(error) ?? error
    })
    let broken = false
    try {
      return await work(client)
    } catch (error) {
      broken = leavesConnectionUnusable(error)
      throw asUnavailable(error) ?? error
    } finally {
      client.release(broken)
    }
  }

  /** A plan gone stale (0A000) or forgotten (26000) is no failure: another connection has it right. */
  async function sendAlone<Row extends object>(statement: Sql): Promise<SentResult<Row>> {
    try {
      return await withClient((client) => sender.send<Row>(client, statement))
    } catch (error) {
      if (!isStalePlan(error)) throw error
      return await withClient((client) => sender.send<Row>(client, statement))
    }
  }

  async function transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return await withClient(async (client) => {
      await sender.sendText(client, 'begin')
      try {
        const outcome = await work({
          kind: 'transaction',
          ...queryable((statement) => sender.send(client, statement)),
        })
        await sender.sendText(client, 'commit')
        return outcome
      } catch (error) {
        await client.query('rollback').catch(options.onError)
        throw error
      }
    })
  }

  return {
    kind: 'pool',
    ...queryable(sendAlone),
    transaction,
    statementCount: sender.count,
    driver,
    close: () => driver.end(),
  }
}

function openDriver({ url, size, timeoutMs, onError }: DatabaseOptions): pg.Pool {
  const driver = new pg.Pool({
    connectionString: url,
    max: size,
    connectionTimeoutMillis: timeoutMs,
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    // Statements of one transaction that do not wait for each other share a round trip.
    pipeline: true,
    statement_timeout: timeoutMs,
    idle_in_transaction_session_timeout: timeoutMs * 2,
    lock_timeout: Math.min(3000, timeoutMs),
    application_name: 'bureau',
  })
  // Without a listener an idle connection that breaks would end the process.
  driver.on('error', onError)
  driver.on('connect', (client) => client.on('error', onError))
  return driver
}

interface Sender {
  send<Row extends object>(client: pg.PoolClient, statement: Sql): Promise<SentResult<Row>>
  sendText(client: pg.PoolClient, text: string): Promise<void>
  count(): number
}

/** Sends statements on a given connection, by name where names may be used, and counts them. */
function createSender({ namedStatements }: DatabaseOptions): Sender {
  let statements = 0
  return {
    async send<Row extends object>(
      client: pg.PoolClient,
      statement: Sql,
    ): Promise<SentResult<Row>> {
      const { text, name, values } = compile(statement)
      statements += 1
      const result = await client.query({
        text,
        values: [...values],
        rowMode: 'array',
        ...(namedStatements && name !== '' ? { name } : {}),
      })
      return { rows: toObjects<Row>(result), count: result.rowCount ?? 0 }
    },
    sendText: async (client, text) => {
      statements += 1
      await client.query(text)
    },
    count: () => statements,
  }
}

/** SQLSTATE of a PostgreSQL error, undefined for anything else. */
export function sqlStateOf(error: unknown): string | undefined {
  const cause = error instanceof AppError ? error.cause : error
  return cause instanceof pg.DatabaseError ? cause.code : undefined
}

/** Whether the statement met this unique index or constraint. */
export function isUniqueViolation(error: unknown, constraint: string): boolean {
  return (
    error instanceof pg.DatabaseError && error.code === '23505' && error.constraint === constraint
  )
}

/** Whether the transaction may simply be run again. */
export function isRetriable(error: unknown): boolean {
  const state = sqlStateOf(error)
  return state === '40001' || state === '40P01'
}

/** A count is far below 2^53; a number that is not is a bug and stops. */
pg.types.setTypeParser(pg.types.builtins.INT8, (text) => {
  const value = Number(text)
  if (!Number.isSafeInteger(value)) throw new Error(`bigint ${text} is no safe integer`)
  return value
})

interface SentResult<Row> {
  rows: Row[]
  count: number
}

function queryable(
  send: <Row extends object>(statement: Sql) => Promise<SentResult<Row>>,
): Queryable {
  return {
    many: async <Row extends object>(statement: Sql) => (await send<Row>(statement)).rows,
    maybeOne: async <Row extends object>(statement: Sql) => {
      const { rows } = await send<Row>(statement)
      if (rows.length > 1) throw new Error(`at most one row expected, got ${rows.length}`)
      return rows[0]
    },
    one: async <Row extends object>(statement: Sql) => {
      const { rows } = await send<Row>(statement)
      const [row] = rows
      if (!row || rows.length > 1) throw new Error(`one row expected, got ${rows.length}`)
      return row
    },
    run: async (statement) => (await send(statement)).count,
  }
}

const camelCaseNames = new Map<string, string>()

function toCamelCase(column: string): string {
  const known = camelCaseNames.get(column)
  if (known !== undefined) return known
  const name = column.replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
  camelCaseNames.set(column, name)
  return name
}

/** Rows come as arrays, so that names are translated once a result and not once a row. */
function toObjects<Row extends object>(result: pg.QueryResult): Row[] {
  const names = result.fields.map((field) => toCamelCase(field.name))
  return result.rows.map((values: readonly unknown[]) => {
    const row: Record<string, unknown> = {}
    for (let index = 0; index < names.length; index += 1) {
      row[names[index] ?? ''] = values[index]
    }
    return row as Row
  })
}

const stalePlanStates = new Set(['0A000', '26000'])

function isStalePlan(error: unknown): boolean {
  return stalePlanStates.has(sqlStateOf(error) ?? '')
}

/** Also a primary that became a standby (25006): the pool must find the new one. */
function leavesConnectionUnusable(error: unknown): boolean {
  const state = sqlStateOf(error)
  if (state === undefined) return !(error instanceof AppError)
  return (
    isStalePlan(error) || state.startsWith('08') || state.startsWith('57P') || state === '25006'
  )
}

const unavailableStates = new Set(['53300', '53400', '57014', '55P03', '25006'])

/** 503 where the database is down, busy or shutting down; undefined where the fault is ours. */
function asUnavailable(error: unknown): AppError | undefined {
  if (error instanceof AppError || !(error instanceof Error)) return undefined
  const state = sqlStateOf(error)
  const code = 'code' in error ? String(error.code) : ''
  const isDown =
    state === undefined
      ? /^E[A-Z]+$/.test(code) || /timeout|terminated|not queryable|Connection/.test(error.message)
      : state.startsWith('08') || state.startsWith('57P') || unavailableStates.has(state)
  if (!isDown) return undefined
  return unavailable({
    retryAfterSeconds: 1,
    facts: { reason: error.message, state },
    cause: error,
  })
}
