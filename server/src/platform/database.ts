import pg from 'pg'
import { AppError, unavailable } from '../kernel/errors.ts'
import { openPrimaryPool, readOnlyState } from './primary.ts'
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
  /** A statement ends after this, and the wait for a connection no later. */
  readonly timeoutMs: number
  readonly onError: (error: Error) => void
}

/** A server that is there takes a connection, and gives one free, sooner than this. */
const maxConnectMs = 8000
/** So much later than the server's own word: that one leaves the connection usable. */
const answerGraceMs = 500

/** How many requests may wait for a connection, for each connection that there is. */
const waitersPerConnection = 50

export function openPool(options: DatabaseOptions): Pool {
  const driver = openDriver(options)
  const connections = keepConnections(driver)
  const sender = createSender(options)

  async function withClient<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    if (driver.waitingCount >= options.size * waitersPerConnection) {
      throw unavailable({ retryAfterSeconds: 1, facts: { reason: 'connection queue full' } })
    }
    const client = await connections.take().catch((error: unknown) => {
      throw asUnavailable(error) ?? error
    })
    let failure: unknown
    try {
      return await work(client)
    } catch (error) {
      failure = error
      throw asUnavailable(error) ?? error
    } finally {
      connections.giveBack(client, failure)
    }
  }

  /** A plan gone stale (0A000) or forgotten (26000) is no failure: another connection has it right. */
  async function sendAlone<Row extends object>(statement: Sql): Promise<SentResult<Row>> {
    return await retried(
      () => withClient((client) => sender.send<Row>(client, statement)),
      (error) => isStalePlan(error) || isRetriable(error),
    )
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
        // A connection that is given up ends its transaction by itself.
        if (!leavesConnectionUnusable(error)) {
          await client.query('rollback').catch(options.onError)
        }
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
  return openPrimaryPool(
    {
      connectionString: url,
      max: size,
      connectionTimeoutMillis: Math.min(maxConnectMs, timeoutMs),
      idleTimeoutMillis: 60_000,
      // The server ends what is too slow; only we can end what never reaches it, or has no answer.
      query_timeout: timeoutMs + answerGraceMs,
      // Statements of one transaction that do not wait for each other share a round trip.
      pipeline: true,
      statement_timeout: timeoutMs,
      idle_in_transaction_session_timeout: timeoutMs * 2,
      lock_timeout: Math.min(3000, timeoutMs),
      application_name: 'bureau',
    },
    onError,
  )
}

interface Connections {
  take(): Promise<pg.PoolClient>
  giveBack(client: pg.PoolClient, failure: unknown): void
}

/**
 * Gives out connections of the pool. Where one has died without a word, as behind a firewall that
 * forgot it, those that were not heard of since are as good as dead: they are replaced, and not
 * each found out by a request of its own. So are, where one leads to a server that only reads, all
 * that were open then: another is the primary now.
 */
function keepConnections(driver: pg.Pool): Connections {
  const takenAt = new WeakMap<pg.PoolClient, number>()
  const heardAt = new WeakMap<pg.PoolClient, number>()
  const openedAt = new WeakMap<pg.PoolClient, number>()
  let silentSince = Number.NEGATIVE_INFINITY
  let readOnlyAt = Number.NEGATIVE_INFINITY
  driver.on('connect', (client) => openedAt.set(client, performance.now()))
  const isGood = (client: pg.PoolClient): boolean =>
    (heardAt.get(client) ?? Infinity) >= silentSince && (openedAt.get(client) ?? 0) > readOnlyAt
  return {
    take: async () => {
      for (;;) {
        const client = await driver.connect()
        if (isGood(client)) {
          takenAt.set(client, performance.now())
          return client
        }
        client.release(true)
      }
    },
    giveBack: (client, failure) => {
      const isUnusable = failure !== undefined && leavesConnectionUnusable(failure)
      if (isSilence(failure)) silentSince = Math.max(silentSince, takenAt.get(client) ?? 0)
      if (isReadOnly(failure)) readOnlyAt = performance.now()
      if (!isUnusable) heardAt.set(client, performance.now())
      client.release(isUnusable)
    },
  }
}

/** A transaction that was begun on a connection outside the pool. */
export function transactionOn(client: pg.ClientBase): Tx {
  const sender = createSender({ namedStatements: false })
  return { kind: 'transaction', ...queryable((statement) => sender.send(client, statement)) }
}

interface Sender {
  send<Row extends object>(client: pg.ClientBase, statement: Sql): Promise<SentResult<Row>>
  sendText(client: pg.ClientBase, text: string): Promise<void>
  count(): number
}

/** Sends statements on a given connection, by name where names may be used, and counts them. */
function createSender({ namedStatements }: Pick<DatabaseOptions, 'namedStatements'>): Sender {
  let statements = 0
  return {
    async send<Row extends object>(
      client: pg.ClientBase,
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

/**
 * Serialisation failure, deadlock, and a server that only reads: nothing was done, and the work may
 * simply run again, the last on a connection to the primary.
 */
export function isRetriable(error: unknown): boolean {
  const state = sqlStateOf(error)
  return state === '40001' || state === '40P01' || state === readOnlyState
}

const maxAttempts = 4

/** Does the work again, a bounded number of times, while it fails in a way that is `worthIt`. */
export async function retried<T>(
  work: () => Promise<T>,
  worthIt: (error: unknown) => boolean,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work()
    } catch (error) {
      if (attempt >= maxAttempts || !worthIt(error)) throw error
    }
  }
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

/** A column's name as a member's. */
export function toCamelCase(column: string): string {
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

function isReadOnly(error: unknown): boolean {
  return sqlStateOf(error) === readOnlyState
}

function leavesConnectionUnusable(error: unknown): boolean {
  const state = sqlStateOf(error)
  if (state === undefined) return !(error instanceof AppError)
  const isLost = state.startsWith('08') || state.startsWith('57P')
  return isLost || isStalePlan(error) || isReadOnly(error)
}

/** The driver's word for a statement that was not answered at all. */
function isSilence(error: unknown): boolean {
  return error instanceof Error && error.message === 'Query read timeout'
}

/** Whole classes: broken connections, want of room or memory, an operator's doing, broken disks. */
const unavailableClasses = ['08', '53', '57P', '58']
/** Too slow, locked, idle for too long, a standby, or beaten again and again by other transactions. */
const unavailableStates = new Set(['57014', '55P03', '25P03', readOnlyState, '40001', '40P01'])

/** 503 where the database is down, busy or shutting down; undefined where the fault is ours. */
function asUnavailable(error: unknown): AppError | undefined {
  if (error instanceof AppError || !(error instanceof Error)) return undefined
  const state = sqlStateOf(error)
  const code = 'code' in error ? String(error.code) : ''
  const isDown =
    state === undefined
      ? /^E[A-Z]+$/.test(code) || /timeout|terminated|not queryable|Connection/.test(error.message)
      : unavailableStates.has(state) || unavailableClasses.some((one) => state.startsWith(one))
  if (!isDown) return undefined
  return unavailable({
    retryAfterSeconds: 1,
    facts: { reason: error.message, state },
    cause: error,
  })
}
