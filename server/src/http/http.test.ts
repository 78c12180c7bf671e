import { Type } from 'typebox'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { serveTable, type ServedTable } from '../../test/support/table.ts'
import { defineError } from '../kernel/errors.ts'
import { Email, Name, strictObject } from '../kernel/shapes.ts'
import { endpoint, type Endpoint } from './endpoint.ts'

const tooOdd = defineError(409, 'too_odd', 'That number is too odd.')
const example = {}
const Thing = Type.Object({ id: Type.String(), size: Type.Integer(), version: Type.Integer() })
const thing = { id: 'thing', size: 3, version: 7 }

/** One endpoint for each convention, so that a test says which one it looks at. */
const table: readonly Endpoint[] = [
  endpoint(
    'GET /api/things',
    {
      summary: 'List things',
      access: 'public',
      query: Type.Object({ colour: Type.Optional(Type.String({ maxLength: 20 })) }),
      list: { sorts: ['size', 'createdAt'], defaultSort: '-createdAt' },
      reply: Thing,
      cache: 'public',
      example,
    },
    async (_ctx, { page }) => ({
      data: [withSecret({ ...thing, size: page.limit })],
      next: page.after ? null : ['2026-01-01T00:00:00.000Z', 'thing'],
    }),
  ),
  endpoint(
    'GET /api/things/:id',
    { summary: 'Get a thing', access: 'public', params: idParams(), reply: Thing, example },
    async () => thing,
  ),
  endpoint(
    'PATCH /api/things/:id',
    {
      summary: 'Change a thing',
      access: ['catalog:read'],
      params: idParams(),
      body: strictObject({ size: Type.Optional(Type.Integer()) }),
      reply: Thing,
      idempotency: 'none',
      example,
    },
    async (_ctx, { ifMatch }) => ({ ...thing, size: ifMatch ?? -1 }),
  ),
  endpoint(
    'POST /api/things',
    {
      summary: 'Make a thing',
      access: 'public',
      body: strictObject({
        size: Type.Integer({ minimum: 0, maximum: 100 }),
        name: Type.Optional(Name),
        email: Type.Optional(Email),
        'odd/~name': Type.Optional(Type.Integer()),
        parts: Type.Optional(Type.Array(strictObject({ key: Type.String({ maxLength: 5 }) }))),
      }),
      reply: Thing,
      status: 201,
      errors: [tooOdd],
      idempotency: 'none',
      example,
    },
    async (_ctx, { body }) => {
      if (body.size === 13) throw tooOdd({ members: { odd: true }, facts: { secretFact: 1 } })
      return { ...thing, size: body.size }
    },
  ),
  endpoint(
    'DELETE /api/things/:id',
    {
      summary: 'Delete a thing',
      access: ['customer', 'orders:read'],
      params: idParams(),
      reply: Type.Null(),
      status: 204,
      example,
    },
    async () => null,
  ),
  endpoint(
    'GET /api/faults',
    { summary: 'Fail', access: 'public', reply: Thing, example },
    async () => {
      throw new Error('the password of the database is 12345')
    },
  ),
  endpoint(
    'GET /api/slow',
    { summary: 'Never answer', access: 'public', reply: Thing, example },
    async () => await new Promise<never>(() => undefined),
  ),
  endpoint(
    'POST /api/slow',
    {
      summary: 'Never answer to who sent something',
      access: 'public',
      body: strictObject({ size: Type.Integer() }),
      reply: Thing,
      idempotency: 'none',
      example,
    },
    async () => await new Promise<never>(() => undefined),
  ),
]

/** A row often knows more than its reply may say. */
function withSecret<T extends object>(row: T): T {
  return { ...row, secretNote: 'never shown' }
}

function idParams() {
  return Type.Object({ id: Type.String({ maxLength: 100, pattern: '^[a-z]+$' }) })
}

let served: ServedTable

beforeAll(async () => {
  served = await serveTable(table)
})
afterAll(async () => {
  await served.close()
})

async function send(route: string, init: RequestInit & { json?: unknown } = {}) {
  const [method = '', path = ''] = route.split(' ')
  const { json: value, ...rest } = init
  const headers = new Headers(init.headers)
  if (value !== undefined) headers.set('content-type', 'application/json')
  const reply = await fetch(served.url + path, {
    method,
    ...(value === undefined ? {} : { body: JSON.stringify(value) }),
    ...rest,
    headers,
  })
  const text = await reply.text()
  const body = text === '' ? undefined : JSON.parse(text)
  return { status: reply.status, headers: reply.headers, body }
}

const post = (body: string | Buffer, contentType = 'application/json') =>
  send('POST /api/things', {
    body: body as string,
    headers: { 'content-type': contentType },
  })

const patch = async (tag?: string) => {
  const headers = { authorization: 'Bearer staff', ...(tag ? { 'if-match': tag } : {}) }
  return await send('PATCH /api/things/x', { json: {}, headers })
}

const preflight = (origin: string) =>
  fetch(`${served.url}/api/things`, {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'idempotency-key',
    },
  })

describe('what comes in', () => {
  test('201 for a body that fits, with only the declared members in the reply', async () => {
    const { status, body } = await send('POST /api/things', { json: { size: 4 } })
    expect(status).toBe(201)
    expect(body).toEqual({ ...thing, size: 4 })
    const list = await send('GET /api/things')
    expect(list.body.data).toEqual([{ ...thing, size: 20 }])
  })

  test('400 with a pointer for an unknown member, which is never dropped in silence', async () => {
    const { status, body } = await send('POST /api/things', { json: { size: 1, 'a/b': 2 } })
    expect(status).toBe(400)
    expect(body).toMatchObject({
      type: 'urn:bureau:problem:invalid_input',
      code: 'invalid_input',
      instance: '/api/things',
      errors: [{ pointer: '/a~1b', code: 'additionalProperties' }],
    })
  })

  test.each([
    ['a text for a number', { size: '12' }, '/size', 'type'],
    ['a fraction', { size: 0.5 }, '/size', 'type'],
    ['null for a number', { size: null }, '/size', 'type'],
    ['true for a number', { size: true }, '/size', 'type'],
    ['a missing member', {}, '/size', 'required'],
    [
      'a wrong item deep inside',
      { size: 1, parts: [{ key: 'a' }, {}] },
      '/parts/1/key',
      'required',
    ],
    ['a name of nothing but spaces', { size: 1, name: '  ' }, '/name', 'pattern'],
    ['a control character in a name', { size: 1, name: 'a\u001bb' }, '/name', 'pattern'],
  ])('400 for %s', async (_what, json, pointer, code) => {
    const { status, body } = await send('POST /api/things', { json })
    expect(status).toBe(400)
    expect(body.errors).toContainEqual(expect.objectContaining({ pointer, code }))
  })

  test.each([['1e400'], ['9007199254740993'], ['-1'], [`1${'0'.repeat(400)}`]])(
    '400 for the number %.20s, which is never rounded',
    async (number) => {
      expect((await post(`{"size":${number}}`)).status).toBe(400)
    },
  )

  test('400 lists twenty problems at most', async () => {
    const parts = Array.from({ length: 50 }, () => ({ key: 'much too long' }))
    const { status, body } = await send('POST /api/things', { json: { size: 1, parts } })
    expect(status).toBe(400)
    expect(body.errors).toHaveLength(20)
  })

  test('201 with the last of duplicate members', async () => {
    expect((await post('{"size":1,"size":2}')).body).toMatchObject({ size: 2 })
  })

  test('201 for a body that begins with a byte order mark', async () => {
    expect((await post('\uFEFF{"size":1}')).status).toBe(201)
  })

  test('400 names the missing members of an absent body', async () => {
    const { status, body } = await send('POST /api/things')
    expect(status).toBe(400)
    expect(body.errors).toContainEqual({
      pointer: '/size',
      code: 'required',
      message: 'is required',
    })
  })

  test.each([
    ['text that is no JSON', '{"size":'],
    ['a NUL character', '{"size":1,"name":"a\\u0000b"}'],
    ['half of a surrogate pair', '{"size":1,"name":"\\ud800"}'],
    ['a member named __proto__', '{"size":1,"__proto__":{}}'],
    ['the same in an escape', '{"size":1,"\\u005f_proto__":{}}'],
    ['invalid UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
    ['50 000 levels', `${'['.repeat(50_000)}${']'.repeat(50_000)}`],
    ['90 000 members', `{${Array.from({ length: 90_000 }, (_, n) => `"${n}":1`).join()}}`],
  ])('400 malformed_request for %s', async (_what, bytes) => {
    const { status, body } = await post(bytes)
    expect([status, body.code]).toEqual([400, 'malformed_request'])
  })

  test('201 leaves a member named constructor to the schema', async () => {
    const { status, body } = await post('{"size":1,"constructor":{}}')
    expect([status, body.code]).toEqual([400, 'invalid_input'])
  })

  test('400 soon for a megabyte that is made to confuse a pattern', async () => {
    const before = performance.now()
    for (const member of ['name', 'email']) {
      for (const part of ['a', ' ', '@', 'a@']) {
        const text = part.repeat(400_000 / part.length)
        const { status } = await post(JSON.stringify({ size: 1, [member]: `${text}\n` }))
        expect(status).toBe(400)
      }
    }
    expect(performance.now() - before).toBeLessThan(5000)
  })

  test('413 for more than a mebibyte', async () => {
    const { status, body } = await post(JSON.stringify({ size: 1, name: 'a'.repeat(1 << 20) }))
    expect([status, body.code]).toEqual([413, 'payload_too_large'])
  })

  test.each([['text/plain'], ['application/xml'], ['multipart/form-data; boundary=x']])(
    '415 for a body of type %s',
    async (type) => {
      const { status, body } = await post('{"size":1}', type)
      expect([status, body.code]).toEqual([415, 'unsupported_media_type'])
    },
  )

  test('201 for application/merge-patch+json and a charset', async () => {
    expect((await post('{"size":1}', 'application/merge-patch+json')).status).toBe(201)
    expect((await post('{"size":1}', 'application/json; charset=utf-8')).status).toBe(201)
  })

  test.each([
    ['an unknown parameter', 'shape=round', '/query/shape'],
    ['a repeated parameter', 'colour=red&colour=blue', '/query/colour'],
    ['a repeated limit', 'limit=1&limit=2', '/query/limit'],
    ['a limit above 100', 'limit=101', '/query/limit'],
    ['no limit at all', 'limit=', '/query/limit'],
    ['a limit in words', 'limit=ten', '/query/limit'],
    ['a sort that is not offered', 'sort=price', '/query/sort'],
    ['a NUL character', 'colour=%00', '/query/colour'],
  ])('400 for %s in the query', async (_what, query, pointer) => {
    const { status, body } = await send(`GET /api/things?${query}`)
    expect(status).toBe(400)
    expect(body.errors[0].pointer).toBe(pointer)
  })

  test('400 for a path that does not fit its pattern', async () => {
    const { status, body } = await send('GET /api/things/UPPER')
    expect([status, body.errors[0].pointer]).toEqual([400, '/params/id'])
  })

  test.each([['/api/things/%zz'], ['/api/things/%ff']])(
    '400 as a problem document for the address %s',
    async (path) => {
      const { status, headers, body } = await send(`GET ${path}`)
      expect([status, body.code]).toEqual([400, 'malformed_request'])
      expect(headers.get('content-type')).toContain('application/problem+json')
      expect(headers.get('x-content-type-options')).toBe('nosniff')
    },
  )

  test('4xx as a problem document for a path member of 5 000 characters', async () => {
    const { status, headers } = await send(`GET /api/things/${'a'.repeat(5000)}`)
    expect([400, 404, 414]).toContain(status)
    expect(headers.get('content-type')).toContain('application/problem+json')
  })

  test.each([
    ['two Host headers', 'Host: a\r\nHost: b'],
    ['two Host headers in other letters', 'Host: a\r\nhOST: b'],
    [
      'two Authorization headers',
      'Host: a\r\nAuthorization: Bearer ada\r\nAuthorization: Bearer x',
    ],
    ['two kinds of token', 'Host: a\r\nAuthorization: Bearer ada\r\nX-Order-Token: ord_x.y'],
    ['a length and chunks', 'Host: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked'],
    ['two lengths', 'Host: a\r\nContent-Length: 3\r\nContent-Length: 4'],
    ['a folded header', 'Host: a\r\nX-A: b\r\n c: d\r\n\te'],
    ['no Host header', 'X-A: b'],
    ['a NUL in a header', 'Host: a\r\nX-A: b\0c'],
  ])('400 for %s', async (_what, headers) => {
    const reply = await served.raw(
      `POST /api/things HTTP/1.1\r\n${headers}\r\nConnection: close\r\n\r\n0\r\n\r\n`,
    )
    expect(reply).toMatch(/^HTTP\/1\.1 400 /)
  })

  test.each([
    ['what is no HTTP', 'this is no HTTP\r\n\r\n'],
    ['a length and chunks', `Host: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n`],
    ['headers of 100 KB', `Host: a\r\nX-A: ${'b'.repeat(100_000)}\r\n\r\n`],
  ])('400 as a problem document for %s', async (_what, rest) => {
    const begin = rest.startsWith('Host') ? 'GET /api/things HTTP/1.1\r\n' : ''
    const [head = '', body = ''] = (await served.raw(begin + rest)).split('\r\n\r\n')
    expect(head).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/)
    expect(head).toContain('Content-Type: application/problem+json')
    expect(head).toContain('Cache-Control: no-store')
    const { code, status, requestId } = JSON.parse(body) as Record<string, unknown>
    expect([code, status]).toEqual(['malformed_request', 400])
    expect(head).toContain(`X-Request-Id: ${String(requestId)}`)
  })
})

describe('who calls', () => {
  test('401 before 400: what is wrong with the input is told to nobody', async () => {
    const { status, headers, body } = await send('PATCH /api/things/UPPER', { json: { x: 1 } })
    expect([status, body.code]).toEqual([401, 'unauthorized'])
    expect(headers.get('www-authenticate')).toBe('Bearer')
  })

  test('403 before 400 for somebody without the permission', async () => {
    const headers = { authorization: 'Bearer ada' }
    const { status, body } = await send('PATCH /api/things/UPPER', { json: { x: 1 }, headers })
    expect([status, body.code]).toEqual([403, 'forbidden'])
  })

  test.each([
    ['an unknown token', { authorization: 'Bearer eve' }],
    ['another scheme', { authorization: 'Basic YTpi' }],
    ['an empty token', { authorization: 'Bearer ' }],
    ['a token of 5 000 characters', { authorization: `Bearer ${'a'.repeat(5000)}` }],
    ['a bad order token', { 'x-order-token': 'nonsense' }],
  ])('401 for %s on a public endpoint too', async (_what, headers) => {
    expect((await send('GET /api/things', { headers })).status).toBe(401)
  })

  test('204 for either of two grants', async () => {
    for (const token of ['ada', 'staff']) {
      const headers = { authorization: `Bearer ${token}` }
      expect((await send('DELETE /api/things/x', { headers })).status).toBe(204)
    }
  })
})

describe('what goes out', () => {
  test('404 for an unknown address and 405 with Allow for an unknown method', async () => {
    const missing = await send('GET /api/nothing')
    expect([missing.status, missing.body.code]).toEqual([404, 'not_found'])
    for (const method of ['PUT', 'POST']) {
      const { status, headers, body } = await send(`${method} /api/things/x`)
      expect([status, body.code]).toEqual([405, 'method_not_allowed'])
      expect(headers.get('allow')).toBe('GET, PATCH, DELETE')
    }
  })

  test('404 and 405 also refuse to run TRACE and methods of others', async () => {
    for (const method of ['TRACE', 'PROPFIND']) {
      const reply = await served.raw(
        `${method} /api/things HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
      )
      expect(reply).toMatch(/^HTTP\/1\.1 (404|405|400|501) /)
    }
  })

  test.each([['text/html'], ['image/png'], ['application/xml']])('406 for %s', async (accept) => {
    const { status, body } = await send('GET /api/things', { headers: { accept } })
    expect([status, body.code]).toEqual([406, 'not_acceptable'])
  })

  test.each([
    ['*/*'],
    ['application/*'],
    ['application/problem+json'],
    ['text/html, application/json;q=0.5'],
  ])('200 for Accept %s', async (accept) => {
    expect((await send('GET /api/things', { headers: { accept } })).status).toBe(200)
  })

  test('an expected failure shows its code and members, never its facts', async () => {
    const { status, headers, body } = await send('POST /api/things', { json: { size: 13 } })
    expect(status).toBe(409)
    expect(headers.get('content-type')).toBe('application/problem+json')
    expect(body).toEqual({
      type: 'urn:bureau:problem:too_odd',
      title: 'That number is too odd.',
      status: 409,
      detail: 'That number is too odd.',
      instance: '/api/things',
      requestId: headers.get('x-request-id'),
      code: 'too_odd',
      odd: true,
    })
  })

  test('500 hides what it was and logs it', async () => {
    const { status, body } = await send('GET /api/faults')
    expect([status, body.code]).toEqual([500, 'internal_error'])
    expect(JSON.stringify(body)).not.toMatch(/12345|stack|\.ts/)
    const line = served.logged.find(({ msg }) => msg === 'unexpected error')
    expect(JSON.stringify(line)).toContain('12345')
    expect(line).toMatchObject({ requestId: body.requestId })
  })

  test('X-Request-Id is kept when it is decent, and made otherwise', async () => {
    const sent = await send('GET /api/things', { headers: { 'x-request-id': 'my-own.1' } })
    expect(sent.headers.get('x-request-id')).toBe('my-own.1')
    for (const odd of ['a b', 'x'.repeat(101), '{}']) {
      const { headers } = await send('GET /api/things', { headers: { 'x-request-id': odd } })
      expect(headers.get('x-request-id')).toMatch(/^req_[0-7][0-9a-z]{25}$/)
    }
  })

  test('every reply says that it is data and not to be kept', async () => {
    for (const route of ['GET /api/things/x', 'GET /api/nothing', 'PUT /api/things']) {
      const { headers } = await send(route)
      expect(headers.get('cache-control')).toBe('no-store')
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('content-security-policy')).toContain("default-src 'none'")
      expect(headers.get('x-powered-by')).toBeNull()
      expect(headers.get('server')).toBeNull()
    }
  })

  test('shared caches may keep a public reply only when it was asked for without a token', async () => {
    const anonymous = await send('GET /api/things')
    expect(anonymous.headers.get('cache-control')).toBe(
      'public, max-age=0, s-maxage=5, stale-while-revalidate=30',
    )
    expect(anonymous.headers.get('vary')).toContain('Authorization')
    const known = await send('GET /api/things', { headers: { authorization: 'Bearer ada' } })
    expect(known.headers.get('cache-control')).toBe('no-store')
    expect(known.headers.get('vary')).toContain('Authorization')
    const wrong = await send('GET /api/things?limit=0')
    expect(wrong.headers.get('cache-control')).toBe('no-store')
  })

  test('400 for a body where none belongs: it is not dropped in silence', async () => {
    const headers = { authorization: 'Bearer ada' }
    const refused = await send('DELETE /api/things/a', { headers, json: { force: true } })
    expect([refused.status, refused.body.errors]).toEqual([
      400,
      [expect.objectContaining({ pointer: '/force' })],
    ])
    expect((await send('DELETE /api/things/a', { headers })).status).toBe(204)
  })

  test('HEAD answers like GET without a body', async () => {
    const { status, headers, body } = await send('HEAD /api/things/x')
    expect([status, body]).toEqual([200, undefined])
    expect(headers.get('etag')).toBe('"7-public"')
  })
})

describe('one line of log a request', () => {
  test('names route, status and actor, and holds no token', async () => {
    await send('DELETE /api/things/x?', { headers: { authorization: 'Bearer ada' } })
    await expect
      .poll(() => served.logged.findLast(({ msg }) => msg === 'request'))
      .toMatchObject({ method: 'DELETE', route: '/api/things/:id', status: 204 })
    expect(JSON.stringify(served.logged)).not.toContain('Bearer')
  })
})

describe('entity tags', () => {
  test('304 when the client has this version and this view', async () => {
    const first = await send('GET /api/things/x')
    expect(first.headers.get('etag')).toBe('"7-public"')
    for (const tag of ['"7-public"', 'W/"7-public"', '"1-public", "7-public"', '*']) {
      const again = await send('GET /api/things/x', { headers: { 'if-none-match': tag } })
      expect([again.status, again.body]).toEqual([304, undefined])
      expect(again.headers.get('etag')).toBe('"7-public"')
    }
  })

  test('200 for another version, or the same in the view of others', async () => {
    const old = await send('GET /api/things/x', { headers: { 'if-none-match': '"6-public"' } })
    expect(old.status).toBe(200)
    const headers = { 'if-none-match': '"7-public"', authorization: 'Bearer staff' }
    const staff = await send('GET /api/things/x', { headers })
    expect([staff.status, staff.headers.get('etag')]).toEqual([200, '"7-staff"'])
  })

  test('If-Match hands its version to the endpoint; 412 for a tag that is none of ours', async () => {
    expect((await patch('"5-staff"')).body.size).toBe(5)
    expect((await patch('*')).body.size).toBe(-1)
    expect((await patch()).body.size).toBe(-1)
    for (const tag of ['W/"5-staff"', '5', '"5-nobody"', '"5-staff", "6-staff"']) {
      const { status, body } = await patch(tag)
      expect([status, body.code]).toEqual([412, 'precondition_failed'])
    }
  })
})

describe('cursors', () => {
  test('200 for the next page, 400 for a cursor that was changed or belongs elsewhere', async () => {
    const { nextCursor } = (await send('GET /api/things?colour=red&limit=5')).body
    const next = await send(`GET /api/things?colour=red&limit=50&cursor=${nextCursor}`)
    expect([next.status, next.body.nextCursor]).toEqual([200, null])
    const [text, signature] = nextCursor.split('.')
    const forged = Buffer.from(
      JSON.stringify({ ...JSON.parse(Buffer.from(text, 'base64url').toString()), p: ['x', 'y'] }),
    ).toString('base64url')
    for (const query of [
      `colour=blue&cursor=${nextCursor}`,
      `cursor=${nextCursor}`,
      `colour=red&sort=size&cursor=${nextCursor}`,
      `colour=red&sort=createdAt&cursor=${nextCursor}`,
      `colour=red&cursor=${forged}.${signature}`,
      `colour=red&cursor=${text}.${signature.slice(1)}`,
      `colour=red&cursor=${text}`,
      'colour=red&cursor=',
      'colour=red&cursor=.',
      'colour=red&cursor=nonsense',
    ]) {
      const { status, body } = await send(`GET /api/things?${query}`)
      expect([query, status, body.code]).toEqual([query, 400, 'invalid_cursor'])
    }
  })
})

describe('CORS', () => {
  test('204 for a preflight of an allowed origin, with what may be sent and read', async () => {
    const reply = await preflight('https://shop.example')
    expect(reply.status).toBe(204)
    expect(reply.headers.get('access-control-allow-origin')).toBe('https://shop.example')
    expect(reply.headers.get('access-control-allow-headers')).toContain('Idempotency-Key')
    expect(reply.headers.get('access-control-allow-methods')).toContain('PATCH')
    const plain = await send('GET /api/things', { headers: { origin: 'https://shop.example' } })
    expect(plain.headers.get('access-control-expose-headers')).toContain('X-Request-Id')
    expect(plain.headers.get('access-control-allow-credentials')).toBeNull()
  })

  test('no word for another origin, and caches keep the two apart', async () => {
    expect(
      (await preflight('https://evil.example')).headers.get('access-control-allow-origin'),
    ).toBe(null)
    const reply = await send('GET /api/things', { headers: { origin: 'https://evil.example' } })
    expect(reply.headers.get('access-control-allow-origin')).toBeNull()
    expect(reply.headers.get('vary')).toMatch(/Origin/)
    expect(reply.headers.get('vary')).toMatch(/Authorization/)
  })
})

describe('with other settings', () => {
  test('500 tells message and stack where ERROR_DETAIL is on', async () => {
    const detailed = await serveTable(table, { settings: { errorDetail: true } })
    try {
      const reply = await fetch(`${detailed.url}/api/faults`)
      const body = (await reply.json()) as { detail: string; stack: string }
      expect(body.detail).toContain('12345')
      expect(body.stack).toContain('http.test.ts')
    } finally {
      await detailed.close()
    }
  })

  const body = JSON.stringify({ size: 1 })
  const headers = { 'content-type': 'application/json' }
  test.each<[string, RequestInit]>([
    ['asks for something', {}],
    ['sends something', { method: 'POST', headers, body }],
  ])('503 with Retry-After when one that %s takes longer than it may', async (_kind, asked) => {
    const impatient = await serveTable(table, { settings: { requestTimeoutMs: 100 } })
    try {
      const reply = await fetch(`${impatient.url}/api/slow`, asked)
      expect(reply.status).toBe(503)
      expect(reply.headers.get('retry-after')).toMatch(/^\d+$/)
      expect(reply.headers.get('content-type')).toBe('application/problem+json')
      expect(await reply.json()).toMatchObject({ code: 'unavailable' })
    } finally {
      await impatient.close()
    }
  })

  test('429 with what is left, in the headers of the draft', async () => {
    // Six requests a minute: a hundredth of the default.
    const strict = await serveTable(table, { limitScale: 0.01 })
    try {
      const replies = []
      for (let n = 0; n < 7; n += 1) replies.push(await fetch(`${strict.url}/api/things`))
      expect(replies.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200, 429])
      expect(replies[0]?.headers.get('ratelimit-policy')).toBe('"default";q=6;w=60')
      expect(replies[0]?.headers.get('ratelimit')).toMatch(/^"default";r=5;t=\d+$/)
      expect(replies[6]?.headers.get('ratelimit')).toMatch(/^"default";r=0;t=\d+$/)
      expect(Number(replies[6]?.headers.get('retry-after'))).toBeGreaterThan(0)
      expect(await replies[6]?.json()).toMatchObject({ code: 'rate_limited' })
    } finally {
      await strict.close()
    }
  })

  test('429 cannot be escaped by a forged X-Forwarded-For', async () => {
    const strict = await serveTable(table, { limitScale: 0.01 })
    try {
      const ask = (n: number) =>
        fetch(`${strict.url}/api/things`, { headers: { 'x-forwarded-for': `10.0.0.${n}` } })
      const replies = []
      for (let n = 0; n < 7; n += 1) replies.push(await ask(n))
      expect(replies.at(-1)?.status).toBe(429)
    } finally {
      await strict.close()
    }
  })
})
