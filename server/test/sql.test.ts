import { readFileSync } from 'node:fs'
import path from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PageRequest } from '../src/kernel/page.ts'
import { composePage, type ListDefinition } from '../src/platform/list.ts'
import { compile, type Sql } from '../src/platform/sql.ts'
import { cloneDatabase, type TestDatabase } from './support/database.ts'
import { listFiles, serverSource } from './support/sources.ts'
import { statementsOf, templateTextsOf } from './support/statements.ts'

/** Where SQL may stand. Lists and the fragments of `sql.ts` itself are composed, and tried below. */
const sqlFiles = listFiles(
  serverSource,
  /^(modules\/\w+\/sql(\.ts|\/[\w-]+\.ts)|platform\/\w+\.ts|http\/idempotency\.ts)$/,
).filter((file) => !['platform/list.ts', 'platform/sql.ts'].includes(file))
const statements = sqlFiles.flatMap((file) => statementsOf(serverSource, file))
const texts = sqlFiles.flatMap((file) => templateTextsOf(serverSource, file))

let database: TestDatabase
let client: pg.Client

beforeAll(async () => {
  database = await cloneDatabase()
  client = new pg.Client({ connectionString: database.serverUrl })
  await client.connect()
})
afterAll(async () => {
  await client.end()
  await database.drop()
})

/** What PostgreSQL says against a statement; undefined when it would run it. */
async function complaintOf(text: string): Promise<string | undefined> {
  try {
    await client.query(`prepare checked as ${text}`)
    await client.query('deallocate checked')
    return undefined
  } catch (error) {
    return `${String(error)}\n${text}`
  }
}

describe('every statement', () => {
  test('is found at all', () => {
    const modulesWithSql = new Set(
      sqlFiles.filter((file) => file.startsWith('modules/')).map((file) => file.split('/')[1]),
    )
    expect(modulesWithSql.size).toBeGreaterThan(0)
    expect(statements.length).toBeGreaterThan(15 + 3 * modulesWithSql.size)
    for (const file of sqlFiles.filter((file) => file.endsWith('/sql.ts'))) {
      expect([file, statements.some(({ at }) => at.startsWith(file))]).toEqual([file, true])
    }
  })

  test('is one that the migrated database can prepare', async () => {
    const complaints = []
    for (const { at, text } of statements) {
      const complaint = await complaintOf(text)
      if (complaint !== undefined) complaints.push(`${at}: ${complaint}`)
    }
    expect(complaints).toEqual([])
  })

  test('is refused when it is wrong: the check itself can fail', async () => {
    expect(await complaintOf('select no_such_column from events')).toContain('does not exist')
  })
})

interface FoundList {
  readonly name: string
  readonly list: ListDefinition<Record<string, unknown>>
}

describe('every list', () => {
  let lists: FoundList[]

  beforeAll(async () => {
    const files = sqlFiles.filter((file) => file.startsWith('modules/'))
    lists = (await Promise.all(files.map(findLists))).flat()
  })

  test('is exported, so that it is found', () => {
    const declared = sqlFiles.flatMap(namesOfLists)
    expect(declared.length).toBeGreaterThan(0)
    expect(lists.map(({ name }) => name).toSorted()).toEqual(declared.toSorted())
  })

  test('can be prepared with each filter, each sort, both ways, first page and next', async () => {
    const complaints = []
    let tried = 0
    for (const { name, list } of lists) {
      for (const conditions of conditionsOf(list)) {
        for (const page of pagesOf(list)) {
          const text = compile(composePage(list, conditions, page)).text
          const complaint = await complaintOf(text)
          tried += 1
          if (complaint !== undefined) complaints.push(`${name}: ${complaint}`)
        }
      }
    }
    expect(complaints).toEqual([])
    expect(tried).toBeGreaterThan(lists.length * 4)
  })
})

const clockWords =
  /\b(now|clock_timestamp|statement_timestamp)\s*\(|\bcurrent_(timestamp|date|time)\b/i
const volatile = new RegExp(`${clockWords.source}|\\b(random|gen_random_uuid|nextval)\\s*\\(`, 'i')

describe('the words of every statement', () => {
  const all = [...statements, ...texts]

  test.each([
    [
      'columns by name: no star',
      // Nor `row.*`; count(*) counts rows and names nothing.
      (text: string) =>
        /(\bselect\s+|[\s,.])\*(?!\s*\d)/i.test(text.replaceAll(/count\(\*\)/gi, '')),
    ],
    [
      'time, random and sequences stand in no UPDATE and no ON CONFLICT',
      (text: string) => setClausesOf(text).some((clause) => volatile.test(clause)),
    ],
    ['the instant is a parameter', (text: string) => clockWords.test(text)],
    [
      'events are taken by no SKIP LOCKED: there is no queue in them',
      (text: string) => /skip\s+locked/i.test(text) && /\bevents\b/i.test(text),
    ],
    [
      'INSERT … SELECT, not a subquery in VALUES',
      (text: string) => /\bvalues\s*\((?:[^()]|\([^()]*\))*\(\s*select\b/i.test(text),
    ],
    [
      'no schema is named but the job queue in platform',
      (text: string) => /\b(public|pg_temp|information_schema)\.\w/i.test(text),
    ],
  ])('%s', (_rule, breaks) => {
    const complaints = all.filter(({ text }) => breaks(withoutComments(text))).map(({ at }) => at)
    expect([...new Set(complaints)]).toEqual([])
  })

  test('a lock takes one row by the id of its root', () => {
    const complaints = all.filter(
      ({ text }) =>
        /\bfor\s+(no\s+key\s+)?update\b/i.test(text) && !/where\s+[\w.]*id\s*=/i.test(text),
    )
    expect(complaints.map(({ at }) => at)).toEqual([])
  })

  test('the rules see what they shall refuse', () => {
    expect(setClausesOf('update a set b = now() where c = 1')[0]).toContain('now()')
    expect(
      setClausesOf('insert into a (b) values (1) on conflict (b) do update set c = random()')[0],
    ).toContain('random()')
  })
})

/** The text from each SET to the end of its clause. */
function setClausesOf(text: string): string[] {
  return [...text.matchAll(/\bset\s+([\s\S]*?)(?=\bwhere\b|\breturning\b|\bfrom\b|$)/gi)].map(
    ([, clause]) => clause ?? '',
  )
}

function withoutComments(text: string): string {
  return text.replaceAll(/--.*$/gm, '')
}

async function findLists(file: string): Promise<FoundList[]> {
  const module = (await import(path.join(serverSource, file))) as Record<string, unknown>
  return Object.entries(module).flatMap(([name, value]) =>
    isList(value) ? [{ name: `${file} ${name}`, list: value }] : [],
  )
}

function isList(value: unknown): value is ListDefinition<Record<string, unknown>> {
  return (
    typeof value === 'object' &&
    value !== null &&
    ['columns', 'from', 'id', 'sorts', 'filters'].every((member) => member in value)
  )
}

/** What the source says is a list, to compare with what was found. */
function namesOfLists(file: string): string[] {
  const text = readFileSync(path.join(serverSource, file), 'utf8')
  return [...text.matchAll(/\bconst (\w+): ListDefinition</g)].map(([, name]) => `${file} ${name}`)
}

/** No filter, then each filter alone, in each form that its value can give it. */
function conditionsOf(list: FoundList['list']): Sql[][] {
  const filters = Object.entries(list.filters).map(([name, filter]) => {
    const forms = formsOf(filter)
    if (forms.length === 0) throw new Error(`no value was found for the filter ${name}`)
    return forms
  })
  const always = list.where ? [list.where] : []
  return [always, ...filters.flat().map((form) => [...always, form])]
}

const anything: unknown = new Proxy({}, { get: () => 'x', has: () => true })
const falsehood: unknown = new Proxy({}, { get: () => false, has: () => false })
const sampleValues: readonly unknown[] = [
  'x',
  1,
  true,
  false,
  ['x'],
  new Date(0),
  anything,
  falsehood,
]

/** The different texts that a filter can make. */
function formsOf(filter: (value: never) => Sql): Sql[] {
  const forms = new Map<string, Sql>()
  for (const sample of sampleValues) {
    try {
      const form = filter(sample as never)
      forms.set(compile(form).text, form)
    } catch {
      // The filter takes values of another kind.
    }
  }
  return [...forms.values()]
}

function pagesOf({ sorts }: FoundList['list']): PageRequest[] {
  return Object.entries(sorts).flatMap(([field, { nullable }]) =>
    (['asc', 'desc'] as const).flatMap((direction) =>
      [null, ['x', 'id'], ...(nullable ? [[null, 'id']] : [])].map((after) => ({
        limit: 20,
        sort: { field, direction },
        after,
        count: false,
      })),
    ),
  )
}
