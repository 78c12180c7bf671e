import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { createConfig, lintFromString } from '@redocly/openapi-core'
import { Ajv } from 'ajv'
import addFormatsModule from 'ajv-formats'
import { Type } from 'typebox'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { querySchemaOf, replySchemaOf, secret, statusesOf } from '../src/http/compile.ts'
import { mountDocs } from '../src/http/docs.ts'
import { endpoint, type Endpoint } from '../src/http/endpoint.ts'
import type { Module } from '../src/http/module.ts'
import { describeApi, genericErrorsOf, replyExampleOf } from '../src/http/openapi.ts'
import { operationIdOf } from '../src/http/operation-id.ts'
import { defineError } from '../src/kernel/errors.ts'
import { idOf, Instant, nullable, oneOf, strictObject } from '../src/kernel/shapes.ts'
import { modules } from '../src/modules/index.ts'
import { serveTable, type ServedTable } from './support/table.ts'

const goldenFile = path.resolve(import.meta.dirname, '../openapi.json')
const endpoints = modules.flatMap((module) => module.endpoints)
const nameOf = ({ method, path }: Endpoint): string => `${method} ${path}`

const thingTaken = defineError(409, 'thing_taken', 'There is a thing of that name.')
const Shelf = Type.Object(
  { id: idOf('cat'), place: oneOf(['left', 'right']) },
  { title: 'Shelf', description: 'Where things stand' },
)
const Thing = Type.Object(
  {
    id: idOf('svc'),
    madeAt: Instant,
    shelf: nullable(Shelf),
    best: Shelf,
    key: secret(Type.String()),
    version: Type.Integer(),
  },
  { title: 'Thing' },
)
const shelf = { id: 'cat_01jd8q9yg8e5v9c0m4t7k2x3za', place: 'left' }
const thing = {
  id: 'svc_01jd8q9yg8e5v9c0m4t7k2x3za',
  madeAt: '2026-11-22T16:40:21.000Z',
  shelf: null,
  best: shelf,
  key: 'k',
  version: 1,
}
const unused = async (): Promise<never> => {
  throw new Error('only described, never called')
}

/** One endpoint for each thing that a contract can say. */
const everything: Module = {
  name: 'catalog',
  events: [],
  listeners: [],
  jobs: [],
  endpoints: [
    endpoint(
      'GET /api/things',
      {
        summary: 'List things',
        access: 'public',
        query: Type.Object({ colour: Type.Optional(Type.String({ maxLength: 9 })) }),
        list: { sorts: ['madeAt'], defaultSort: '-madeAt' },
        reply: Thing,
        cache: 'public',
        example: { query: { colour: 'red', limit: '2' }, reply: thing },
      },
      unused,
    ),
    endpoint(
      'POST /api/things',
      {
        summary: 'Make a thing',
        description: 'It is made at once.',
        access: ['customer', 'catalog:write', 'order-token'],
        body: strictObject({ shelfId: idOf('cat') }),
        reply: Thing,
        status: 201,
        alsoStatus: [202],
        errors: [thingTaken],
        idempotency: { resume: unused },
        example: { body: { shelfId: shelf.id }, reply: thing },
      },
      unused,
    ),
    endpoint(
      'GET /api/things/:id',
      {
        summary: 'Get a thing',
        access: ['catalog:read'],
        params: Type.Object({ id: idOf('svc') }),
        reply: Thing,
        example: { params: { id: thing.id }, reply: thing },
      },
      unused,
    ),
    endpoint(
      'PATCH /api/things/:id',
      {
        summary: 'Change a thing',
        access: ['staff'],
        params: Type.Object({ id: idOf('svc') }),
        body: strictObject({ shelfId: Type.Optional(nullable(idOf('cat'))) }),
        reply: Thing,
        idempotency: { resume: unused },
        example: { params: { id: thing.id }, body: { shelfId: null }, reply: thing },
      },
      unused,
    ),
    endpoint(
      'DELETE /api/things/:id',
      {
        summary: 'Delete a thing',
        access: ['catalog:write'],
        params: Type.Object({ id: idOf('svc') }),
        reply: Type.Null(),
        status: 204,
        example: { params: { id: thing.id } },
      },
      unused,
    ),
    endpoint(
      'POST /api/webhook/stripe',
      {
        summary: "Take Stripe's word",
        access: 'public',
        reply: Type.Object({ received: Type.Boolean() }),
        rawBody: true,
        idempotency: 'none',
        example: { reply: { received: true } },
      },
      unused,
    ),
  ],
}

describe('a table that uses everything', () => {
  const document = describeApi([everything], { version: '1.2.3' }) as Described

  test('is valid OpenAPI 3.1 without a complaint of the linter', async () => {
    expect(await lint(document)).toEqual([])
  })

  test('writes each titled shape once, and null beside it where it may be absent', () => {
    expect(Object.keys(document.components.schemas)).toEqual(['Problem', 'Shelf', 'Thing'])
    const { properties } = document.components.schemas.Thing
    expect(properties.best).toEqual({ $ref: '#/components/schemas/Shelf' })
    expect(properties.shelf).toEqual({
      oneOf: [{ $ref: '#/components/schemas/Shelf' }, { type: 'null' }],
    })
    expect(properties.key).toEqual({ type: 'string' })
  })

  test('names what each operation takes and how it may answer', () => {
    const make = document.paths['/api/things'].post
    expect(make).toMatchObject({ operationId: 'createThing', tags: ['catalog'] })
    expect(make.security).toEqual([{ customer: [] }, { staff: [] }, { orderToken: [] }])
    expect(make.description).toContain('It is made at once.')
    expect(make.description).toContain('`catalog:write`')
    expect(Object.keys(make.responses).map(Number)).toEqual([
      201, 202, 400, 401, 403, 406, 408, 409, 413, 415, 422, 429, 500, 503,
    ])
    expect(Object.keys(make.responses[201].headers)).toEqual(
      expect.arrayContaining(['ETag', 'Location', 'RateLimit', 'Idempotent-Replayed']),
    )
    const conflict = 'thing_taken.idempotency_in_progress'
    expect(make.responses[409]).toEqual({ $ref: `#/components/responses/${conflict}` })
    const { content } = document.components.responses[conflict]
    expect(Object.keys(content['application/problem+json'].examples)).toEqual([
      'thing_taken',
      'idempotency_in_progress',
    ])
    const list = document.paths['/api/things'].get
    expect(list.parameters.map(({ name }: { name: string }) => name)).toEqual([
      'limit',
      'cursor',
      'sort',
      'count',
      'colour',
    ])
    expect(list.security[0]).toEqual({})
    const one = document.paths['/api/things/{id}']
    expect(Object.keys(one.get.responses)).toContain('304')
    expect(Object.keys(one.patch.requestBody.content)).toContain('application/merge-patch+json')
    expect(document.paths['/api/webhook/stripe'].post.security).toEqual([{ stripeSignature: [] }])
  })

  test('refuses two shapes of one title', () => {
    const other = Type.Object({ id: Type.String() }, { title: 'Thing' })
    const clash = endpoint(
      'GET /api/clash',
      { summary: 'Clash', access: 'public', reply: other, example: {} },
      unused,
    )
    const module = { ...everything, endpoints: [...everything.endpoints, clash] }
    expect(() => describeApi([module], { version: '1' })).toThrow(/named Thing/)
  })
})

describe('server/openapi.json', () => {
  const document = describeApi(modules, { version: '0.1.0' })

  test('is what the routes say (UPDATE_GOLDEN=1 rewrites it)', async () => {
    expect(endpoints.length).toBeGreaterThan(0)
    const text = `${JSON.stringify(document, undefined, 2)}\n`
    if (process.env['UPDATE_GOLDEN'] === '1') await writeFile(goldenFile, text)
    expect(JSON.parse(await readFile(goldenFile, 'utf8'))).toEqual(JSON.parse(text))
  })

  test('is valid OpenAPI 3.1 without a complaint of the linter', async () => {
    expect(await lint(document)).toEqual([])
  })

  test('names each operation once', () => {
    const ids = endpoints.map((endpoint) => operationIdOf(endpoint))
    expect(ids.filter((id, index) => ids.indexOf(id) !== index)).toEqual([])
  })
})

describe('each endpoint', () => {
  const ajv = new Ajv({ strict: false, allErrors: true })
  addFormatsModule.default(ajv, ['date-time', 'email', 'uri'])
  const complaintOf = (schema: object, value: unknown): string | undefined => {
    const validate = ajv.compile(schema)
    return validate(value) ? undefined : ajv.errorsText(validate.errors)
  }

  test('has a summary of its own, without a full stop', () => {
    const summaries = endpoints.map(({ contract }) => contract.summary)
    expect(summaries.filter((text) => text.length < 4 || text.endsWith('.'))).toEqual([])
    expect(summaries.filter((text, index) => summaries.indexOf(text) !== index)).toEqual([])
  })

  test('has an example of its reply that fits', () => {
    const wrong = endpoints
      .filter(({ contract }) => statusesOf(contract)[0] !== 204)
      .flatMap((endpoint) => {
        const example = replyExampleOf(endpoint)
        if (example === undefined) return [`${nameOf(endpoint)} has none`]
        const complaint = complaintOf(replySchemaOf(endpoint.contract), example)
        return complaint === undefined ? [] : [`${nameOf(endpoint)} ${complaint}`]
      })
    expect(wrong).toEqual([])
  })

  test('has an example of its body, its path and its query that fits', () => {
    const wrong = endpoints.flatMap((endpoint) => {
      const { body, params, example } = endpoint.contract
      const unknown = Object.keys(example.query ?? {}).filter(
        (name) => !(name in querySchemaOf(endpoint.contract).properties),
      )
      return [
        body && complaintOf(body, example.body),
        params && complaintOf(params, example.params),
        unknown.length > 0 ? `knows no ${unknown.join(', ')}` : undefined,
      ].flatMap((complaint) =>
        complaint === undefined ? [] : [`${nameOf(endpoint)} ${complaint}`],
      )
    })
    expect(wrong).toEqual([])
  })

  test('that writes says how a repeated Idempotency-Key is answered', () => {
    const without = endpoints
      .filter(({ method }) => method === 'POST' || method === 'PATCH')
      .filter(({ path }) => !/^\/api\/(auth|webhook)\//.test(path))
      .filter(
        ({ contract: { idempotency } }) => idempotency === undefined || idempotency === 'none',
      )
    expect(without.map(nameOf)).toEqual([])
  })

  test('declares no failure twice, and none of those that any endpoint has', () => {
    for (const endpoint of endpoints) {
      const codes = (endpoint.contract.errors ?? []).map(({ code }) => code)
      const generic = genericErrorsOf(endpoint).map(({ code }) => code)
      const repeated = codes.filter(
        (code, index) => codes.indexOf(code) !== index || generic.includes(code),
      )
      expect([nameOf(endpoint), repeated]).toEqual([nameOf(endpoint), []])
    }
  })

  test('bounds every text and every list that comes in', () => {
    const unbounded = endpoints.flatMap((endpoint) => {
      const { params, body } = endpoint.contract
      const parts = [params, querySchemaOf(endpoint.contract), body]
      return parts.flatMap((part) => findUnbounded(part)).map((at) => `${nameOf(endpoint)} ${at}`)
    })
    expect(unbounded).toEqual([])
  })

  test('has only patterns that a hostile text cannot keep busy', () => {
    const patterns = new Set(
      endpoints.flatMap(({ contract: { params, query, body } }) =>
        [params, query, body].flatMap((part) => findPatterns(part)),
      ),
    )
    for (const pattern of patterns) {
      const before = performance.now()
      for (const part of ['a', ' ', '-', 'a-', '@', 'a@', 'a.', '0', '+', '.']) {
        for (const end of ['\n', '!', '\u0007', '']) {
          new RegExp(pattern, 'u').test(part.repeat(20_000 / part.length) + end)
        }
      }
      expect([pattern, performance.now() - before < 250]).toEqual([pattern, true])
    }
  })
})

describe('the documentation', () => {
  let served: ServedTable

  beforeAll(async () => {
    served = await serveTable([], {
      mount: (app) => mountDocs(app, describeApi([everything], { version: '1.2.3' })),
    })
  })
  afterAll(async () => {
    await served.close()
  })

  test('302 from / to the page', async () => {
    const reply = await fetch(`${served.url}/`, { redirect: 'manual' })
    expect([reply.status, reply.headers.get('location')]).toEqual([302, '/docs'])
  })

  test('200 serves the document as JSON, then 304', async () => {
    const reply = await fetch(`${served.url}/api/openapi.json`)
    expect(reply.headers.get('content-type')).toContain('application/json')
    expect(await reply.json()).toMatchObject({ openapi: '3.1.1', info: { version: '1.2.3' } })
    const again = await fetch(`${served.url}/api/openapi.json`, {
      headers: { 'if-none-match': reply.headers.get('etag') ?? '' },
    })
    expect(again.status).toBe(304)
  })

  test('200 for the page and all that it loads, from this host alone', async () => {
    const page = await fetch(`${served.url}/docs`)
    expect(page.status).toBe(200)
    const policy = page.headers.get('content-security-policy') ?? ''
    expect(policy).toContain("default-src 'none'")
    expect(policy).not.toMatch(/unsafe|https?:|\*/)
    const html = await page.text()
    expect(html).not.toMatch(/<script(?![^>]* src=)|<style| style=| on\w+=/)
    const links = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, link]) => link ?? '')
    expect(links.length).toBeGreaterThan(4)
    for (const link of [...links, '/docs/json']) {
      const url = new URL(link, `${served.url}/docs`)
      expect(url.origin).toBe(served.url)
      const part = await fetch(url)
      expect([link, part.status, (await part.text()).length > 0]).toEqual([link, 200, true])
    }
  })
})

/** The recommended rules, without a look at the network. */
async function lint(document: object): Promise<string[]> {
  const config = await createConfig({ extends: ['recommended'] })
  const problems = await lintFromString({
    source: JSON.stringify(document),
    absoluteRef: goldenFile,
    config,
  })
  return problems
    .filter(({ ruleId }) => !acceptedRules.has(ruleId))
    .map(({ ruleId, message, location }) => `${ruleId}: ${message} ${location[0]?.pointer ?? ''}`)
}

/** The contract names paths such as `/api/services/categories` beside `/api/services/{id}`. */
const acceptedRules = new Set(['no-ambiguous-paths'])

/* oxlint-disable typescript/no-explicit-any -- a document is walked by names that tests know */
interface Described {
  readonly components: any
  readonly paths: any
}

type Node = Readonly<Record<string, any>>
/* oxlint-enable typescript/no-explicit-any */

function visit<T>(schema: unknown, at: string, look: (node: Node, at: string) => T[]): T[] {
  if (typeof schema !== 'object' || schema === null) return []
  const node = schema as Node
  const members = Object.entries((node['properties'] ?? {}) as Node)
  const branches = [...(node['anyOf'] ?? []), ...(node['oneOf'] ?? []), ...(node['allOf'] ?? [])]
  return [
    ...look(node, at),
    ...members.flatMap(([name, member]) => visit(member, `${at}/${name}`, look)),
    ...visit(node['items'], `${at}/*`, look),
    ...branches.flatMap((branch: unknown) => visit(branch, at, look)),
  ]
}

function findUnbounded(schema: unknown): string[] {
  return visit(schema, '', (node, at) => {
    const types: unknown[] = [node['type']].flat()
    const isOpenText =
      types.includes('string') &&
      node['maxLength'] === undefined &&
      node['enum'] === undefined &&
      node['const'] === undefined &&
      // An id's pattern is of fixed length, a date's format too.
      !isBoundedPattern(String(node['pattern'])) &&
      node['format'] !== 'date-time'
    const isOpenList = types.includes('array') && node['maxItems'] === undefined
    return isOpenText || isOpenList ? [at] : []
  })
}

/** Anchored at both ends, and nothing in it repeats without an end. */
function isBoundedPattern(pattern: string): boolean {
  return /^\^.*\$$/.test(pattern) && !/[*+]|\{\d+,\}/.test(pattern.replaceAll(/\[[^\]]*\]/g, ''))
}

function findPatterns(schema: unknown): string[] {
  return visit(schema, '', (node) => (typeof node['pattern'] === 'string' ? [node['pattern']] : []))
}
