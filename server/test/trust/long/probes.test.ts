import pg from 'pg'
import { afterAll, beforeAll, expect, inject } from 'vitest'
import { modules } from '../../../src/modules/index.ts'
import { bought, openShop, settleAll, type Shop } from '../../journeys/shop.ts'
import { startTestApp, type TestApp } from '../../support/app.ts'
import { eventually } from '../../support/eventually.ts'
import { withDatabase } from '../../support/global-setup.ts'
import { pdf } from '../../support/sample-files.ts'
import { upload } from '../../support/upload.ts'
import { promise } from '../promise.ts'

const metricsToken = 'f0a9d07c93b25e68a4b1d07c'

let app: TestApp
let shop: Shop

beforeAll(async () => {
  app = await startTestApp({ metricsToken })
  shop = await openShop(app)
})
afterAll(() => app.close())

promise(
  87,
  'ready is said while database, schema and keys are there, and then only',
  async (proof) => {
    await app.as('admin')
    const stateOf = async (): Promise<number[]> =>
      await Promise.all(
        (['GET /readyz', 'GET /livez'] as const).map(async (it) => (await app.request(it)).status),
      )
    const isReady = async (ready: boolean): Promise<void> =>
      await eventually(async () => expect(await stateOf()).toEqual([ready ? 200 : 503, 200]))
    const startedAt = performance.now()
    await isReady(true)
    for (const table of ['schema_migrations', 'signing_keys']) {
      await app.sql(`create table kept_aside as select * from ${table}`)
      await app.sql(`delete from ${table} where ctid = (select max(ctid) from ${table})`)
      await isReady(false)
      await app.sql(`insert into ${table} select * from kept_aside on conflict do nothing`)
      await app.sql('drop table kept_aside')
      await isReady(true)
    }
    const closed = await closeDatabase()
    await isReady(false)
    await closed.open()
    await isReady(true)
    const perTurn = Math.round((performance.now() - startedAt) / 6)
    proof.measured('503 without each of database, migration and key, 200 with them; /livez 200')
    proof.measured(`a change is told within ${perTurn} ms`)
  },
)

promise(87, 'figures hold nothing that is stored about anybody', async (proof) => {
  for (const name of ['wilhelmina', 'bartholomew']) {
    const { payer } = await bought(shop, { as: name, paymentMethod: 'pm_card_visa' })
    await upload(app, pdf(`${name}-passport.pdf`, name), { ...payer })
    await app.request('GET /api/auth/me', payer)
  }
  await bought(shop, { paymentMethod: 'pm_card_visa' })
  await settleAll(shop)
  const personal = await listPersonalValues()
  expect(personal.length).toBeGreaterThan(100)
  const text = await scrape()
  const json = await app.request('GET /api/system/metrics', {
    token: await app.as('admin'),
    headers: { accept: 'application/json' },
  })
  const shown = `${text}\n${JSON.stringify(json.body)}`
  expect(text.split('\n').length).toBeGreaterThan(100)
  expect(personal.filter((value) => shown.includes(value))).toEqual([])
  expect(shown).not.toMatch(/@|127\.0\.0\.1|\b(usr|cus|ord|pay|case|doc|evt|ses)_[0-9a-z]{20}/)
  proof.measured(`${personal.length} stored names, ids, addresses and texts: 0 in the figures`)
})

promise(87, 'labels are of closed sets, whatever is asked for', async (proof) => {
  const endpoints = modules.flatMap((module) => module.endpoints)
  const pick = <T>(list: readonly T[]): T => list[Math.floor(proof.random() * list.length)] as T
  const word = (): string => proof.random().toString(36).slice(2)
  const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'PROPFIND', 'PURGE', 'OPTIONS', 'HEAD']
  const ask = async (): Promise<void> => {
    const known = pick(endpoints)
    const path =
      proof.random() < 0.7 ? known.path.replaceAll(/:\w+/g, word) : `/${word()}/${word()}`
    const method = proof.random() < 0.6 ? known.method : pick(methods)
    const reply = await fetch(`${app.url}${path}?${word()}=${word()}`, {
      method,
      redirect: 'manual',
    })
    await reply.arrayBuffer()
  }
  const requests = 1000
  for (let sent = 0; sent < requests; sent += 20) {
    await Promise.all(Array.from({ length: 20 }, ask))
  }
  const routes = new Set([...endpoints.map(({ path }) => path), 'unmatched', '*'])
  const statuses = /^[1-5]\d\d$/
  const series = (await scrape()).split('\n').filter((line) => line.startsWith('http_server_req'))
  expect(series.length).toBeGreaterThan(100)
  const found = series.map((line) => ({
    method: /http_request_method="([^"]*)"/.exec(line)?.[1] ?? '',
    route: /http_route="([^"]*)"/.exec(line)?.[1] ?? '',
    status: /http_response_status_code="([^"]*)"/.exec(line)?.[1] ?? '',
  }))
  const foreign = found.filter(
    ({ method, route, status }) =>
      !/^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|_OTHER)$/.test(method) ||
      !(routes.has(route) || isOfDocs(route)) ||
      !(statuses.test(status) || status === ''),
  )
  expect(foreign).toEqual([])
  const labels = new Set(found.map((one) => Object.values(one).join(' ')))
  proof.measured(`${requests} random addresses and methods: ${labels.size} label sets, all known`)
})

/** The page of the API's description brings routes of its own. */
function isOfDocs(route: string): boolean {
  return route === '/docs' || route.startsWith('/docs/')
}

async function scrape(): Promise<string> {
  const { status, body } = await app.request('GET /api/system/metrics', { token: metricsToken })
  expect(status).toBe(200)
  return String(body)
}

/** Every text that the business stores in a column that may tell of somebody. */
async function listPersonalValues(): Promise<string[]> {
  const columns = await app.sql(`
    select table_name as "table", column_name as "column" from information_schema.columns
    where table_schema = 'public' and data_type = 'text'
      and table_name not in ('schema_migrations', 'services', 'categories', 'service_words',
        'category_tree', 'staff_roster', 'document_usage', 'reconciliation_turns')
      and column_name ~ '(^|_)(id|email|name|number|key|ref|subject|address|filename|phone|note|hash|secret|sha256|text)$'`)
  const values = new Set<string>()
  for (const { table, column } of columns) {
    const rows = await app.sql(`select distinct ${String(column)} as value from ${String(table)}
      where length(${String(column)}) > 5 limit 1000`)
    for (const { value } of rows) values.add(String(value))
  }
  return [...values]
}

/** As if the database were gone: nobody gets in, and nobody who was in stays. */
async function closeDatabase(): Promise<{ open(): Promise<void> }> {
  const name = new URL(app.database.serverUrl).pathname.slice(1)
  const superuser = new pg.Client({
    connectionString: withDatabase(inject('cluster').superuser, 'postgres'),
  })
  await superuser.connect()
  await superuser.query(`alter database ${name} with allow_connections false`)
  await superuser.query(
    'select pg_terminate_backend(pid) from pg_stat_activity where datname = $1',
    [name],
  )
  return {
    open: async () => {
      await superuser.query(`alter database ${name} with allow_connections true`)
      await superuser.end()
    },
  }
}
