import { Ajv, type ValidateFunction } from 'ajv'
import addFormatsModule from 'ajv-formats'
import { Type } from 'typebox'
import { afterAll, beforeAll, expect } from 'vitest'
import { replySchemaOf } from '../../src/http/compile.ts'
import { sendsFile } from '../../src/http/download.ts'
import { endpoint, type Endpoint } from '../../src/http/endpoint.ts'
import { issueMailToken } from '../../src/modules/identity/index.ts'
import { modules } from '../../src/modules/index.ts'
import { startTestApp, type Reply, type RequestOptions, type TestApp } from '../support/app.ts'
import { fillShelf, internalRemark, settle, type Holdings } from '../support/holdings.ts'
import { serveTable } from '../support/table.ts'
import { promise } from './promise.ts'

let app: TestApp
let people: readonly Holdings[]
let staff: readonly (readonly [string, RequestOptions])[]
let others: Readonly<Record<string, string>>

beforeAll(async () => {
  app = await startTestApp()
  const shelf = await fillShelf(app)
  people = await settle(app, shelf, [
    { name: 'ada', kind: 'customer' },
    { name: 'bob', kind: 'customer' },
    { name: 'grace', kind: 'guest' },
  ])
  const userId = people[0]?.userId as never
  await issueMailToken(app.systemContext(), { userId, purpose: 'password_reset' })
  const token = await app.as('admin')
  await app.request('POST /api/auth/admin/mfa/setup', { token: await app.as('manager') })
  await app.request('POST /api/system/reconciliation', { token, body: { days: 1 } })
  await app.runJobs()
  staff = [
    ['admin', { token }],
    ['viewer', { token: await app.as('viewer') }],
  ]
  const categoryBody = { name: 'Papers' }
  const category = await app.request('POST /api/services/categories', { token, body: categoryBody })
  const me = await app.request('GET /api/auth/me', { token })
  others = { service: shelf.paid, category: category.body.id, user: me.body.id }
}, 120_000)
afterAll(async () => {
  await app.close()
})

const endpoints = modules.flatMap((module) => module.endpoints)
const readable = endpoints.filter(
  ({ method, contract }) => method === 'GET' && !sendsFile(contract),
)

/** The address of something that the caller has, or of what anybody has. */
function addressOf({ path }: Endpoint, of: Holdings): string {
  const ids: readonly (readonly [RegExp, string | undefined])[] = [
    [/^\/api\/orders/, of.orderId],
    [/^\/api\/crm/, of.caseId],
    [/^\/api\/auth\/sessions/, of.sessionId],
    [/^\/api\/users/, others['user']],
    [/^\/api\/customers/, of.customerId],
    [/^\/api\/notifications/, of.mailId],
    [/^\/api\/services\/categories/, others['category']],
    [/^\/api\/services/, others['service']],
  ]
  return path.slice(1).replaceAll(/:\w+/g, () => {
    const found = ids.find(([pattern]) => pattern.test(path))?.[1]
    if (found === undefined) throw new Error(`${path}: say here what stands there`)
    return found
  })
}

interface Answer {
  readonly endpoint: Endpoint
  readonly caller: string
  readonly reply: Reply
}

/** Every address that can be read, by every kind of caller, with ids of what they own. */
async function readEverything(): Promise<Answer[]> {
  const answers: Answer[] = []
  const [first] = people as [Holdings]
  const callers = [
    ...people.map((person) => [person.name, person.as, person] as const),
    ...staff.map(([name, as]) => [name, as, first] as const),
    ['nobody', {}, first] as const,
  ]
  for (const [caller, as, of] of callers) {
    for (const endpoint of readable) {
      const isSession = endpoint.path.startsWith('/api/auth/sessions/:')
      if (isSession && !('token' in as && caller === of.name)) continue
      const reply = await app.request(`GET /${addressOf(endpoint, of)}`, as)
      answers.push({ endpoint, caller, reply })
    }
  }
  return answers
}

/** The schema with nothing more allowed than it names, at any depth. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed)
  if (typeof schema !== 'object' || schema === null) return schema
  const copy = Object.fromEntries(
    Object.entries(schema).map(([key, value]) => [key, closed(value)]),
  )
  const isOpen = 'additionalProperties' in schema || 'patternProperties' in schema
  return 'properties' in schema && !isOpen ? { ...copy, additionalProperties: false } : copy
}

let everything: Promise<Answer[]> | undefined
const answersOnce = (): Promise<Answer[]> => (everything ??= readEverything())

promise(57, 'an answer holds what its description names and nothing else', async (proof) => {
  const ajv = new Ajv({ strict: false, allErrors: true })
  addFormatsModule.default(ajv, ['date-time', 'email', 'uri'])
  const validators = new Map<string, ValidateFunction>()
  const answers = await answersOnce()
  const good = answers.filter(({ reply }) => reply.status === 200)
  const faults = good.flatMap(({ endpoint: { path, contract }, caller, reply }) => {
    if (typeof reply.body === 'string') return []
    const validate = validators.get(path) ?? ajv.compile(closed(replySchemaOf(contract)) as object)
    validators.set(path, validate)
    return validate(reply.body) ? [] : [`${path} to ${caller}: ${ajv.errorsText(validate.errors)}`]
  })
  expect(faults).toEqual([])
  const answered = new Set(good.map(({ endpoint }) => endpoint.path))
  expect(readable.filter(({ path }) => !answered.has(path)).map(({ path }) => path)).toEqual([])
  proof.measured(`${good.length} answers of ${answered.size} addresses fit closed schemas`)
})

promise(57, 'what a use-case hands out beside that never leaves the server', async (proof) => {
  const Person = Type.Object({ name: Type.String() }, { title: 'Person' })
  const row = { name: 'Ada', passwordHash: '$argon2id$', internalNote: internalRemark }
  const access = 'public'
  const example = { reply: { name: 'Ada' } }
  const careless = (reply: unknown) => async (): Promise<never> => reply as never
  const table = await serveTable([
    endpoint('GET /api/one', { summary: 'One', access, reply: Person, example }, careless(row)),
    endpoint(
      'GET /api/nested',
      { summary: 'Nested', access, reply: Type.Object({ of: Type.Array(Person) }), example },
      careless({ of: [row], row }),
    ),
    endpoint(
      'GET /api/list',
      {
        summary: 'List',
        access,
        list: { sorts: ['name'], defaultSort: 'name' },
        reply: Person,
        example,
      },
      careless({ data: [row], next: null, rows: [row] }),
    ),
  ])
  try {
    for (const [path, expected] of [
      ['one', { name: 'Ada' }],
      ['nested', { of: [{ name: 'Ada' }] }],
      ['list', { data: [{ name: 'Ada' }], nextCursor: null }],
    ] as const) {
      const reply = await fetch(`${table.url}/api/${path}`)
      expect(await reply.json()).toEqual(expected)
    }
  } finally {
    await table.close()
  }
  proof.measured('3 careless use-cases, 0 members more')
})

/** Everything in columns whose name says that it is nobody's to read. */
async function readSecrets(): Promise<string[]> {
  const columns = await app.sql(
    `select format('%I', table_name) as table, format('%I', column_name) as column
     from information_schema.columns
     where table_schema = current_schema() and table_name <> 'schema_migrations'
       and column_name ~ '(hash|secret|private|password|fingerprint|holder)'`,
  )
  expect(columns.length).toBeGreaterThan(6)
  const keys = [
    { table: 'mail_tokens', column: 'id' },
    { table: 'recovery_codes', column: 'id' },
    { table: 'idempotency_keys', column: 'id' },
    { table: 'rate_limits', column: 'key' },
  ]
  const found: string[] = []
  for (const one of [...columns, ...keys]) {
    const [table, column] = [String(one.table), String(one.column)]
    const rows = await app.sql(`select distinct ${column}::text as secret from ${table}
      where length(${column}::text) >= 12`)
    found.push(...rows.map(({ secret }) => String(secret)))
  }
  return found
}

promise(57, 'no answer holds a secret, and a customer’s nothing of anybody else', async (proof) => {
  const secrets = [...(await readSecrets()), '$argon2', '"kty"', 'PRIVATE KEY', 'whsec_', 'sk_test']
  const answers = await answersOnce()
  const faults: string[] = []
  for (const { endpoint, caller, reply } of answers) {
    // A problem repeats the address that was asked for.
    const said = typeof reply.body === 'string' ? reply.body : { ...reply.body, instance: '' }
    const text = JSON.stringify([said, [...reply.headers]])
    const isStaff = staff.some(([name]) => name === caller)
    const kept = isStaff ? secrets : [...secrets, ...wordsKeptFrom(caller)]
    for (const word of kept) {
      if (text.includes(word)) faults.push(`${endpoint.path} to ${caller}: ${word.slice(0, 40)}`)
    }
  }
  expect(faults).toEqual([])
  proof.measured(`${answers.length} answers, ${secrets.length} secrets, 0 found`)
})

/** What staff write for each other, who they are beyond a name, and all of the other people. */
function wordsKeptFrom(caller: string): string[] {
  const ofOthers = people
    .filter(({ name }) => name !== caller)
    .flatMap((other) => [
      other.email,
      other.userId,
      other.customerId,
      other.orderId,
      other.orderNumber,
      other.openOrderId,
      other.caseId,
      other.caseNumber,
      other.documentKey,
      other.mailId,
    ])
  const internal = people.map(({ internalDocumentKey }) => internalDocumentKey)
  const words = [...ofOthers, ...internal, internalRemark, '@bureau.example', '"internal"']
  return words.filter((word) => word !== undefined)
}
