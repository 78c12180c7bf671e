import { createServer, type Server } from 'node:http'
import { createPublicKey } from 'node:crypto'
import { afterAll, beforeAll, expect } from 'vitest'
import type { Endpoint } from '../../src/http/endpoint.ts'
import { newId } from '../../src/kernel/id.ts'
import { minuteMs, secondMs } from '../../src/kernel/time.ts'
import { modules } from '../../src/modules/index.ts'
import { startTestApp, testPassword, type Reply, type TestApp } from '../support/app.ts'
import {
  encryptForUs,
  inDer,
  partsOf,
  signHmac,
  takeApart,
  textOf,
  type Material,
} from '../support/forged-tokens.ts'
import { promise } from './promise.ts'

/** Where a token may send whoever believes it: nobody must ever come. */
let bait: Server
let visits = 0
let baitUrl: string
let app: TestApp
let material: Material

beforeAll(async () => {
  bait = createServer((_request, response) => {
    visits += 1
    response.end(JSON.stringify({ keys: [material.attackersJwk] }))
  })
  await new Promise<void>((resolve) => bait.listen(0, '127.0.0.1', resolve))
  baitUrl = `http://127.0.0.1:${(bait.address() as { port: number }).port}/keys`
  app = await startTestApp()
  material = await takeApart(app, (await app.asCustomer('ada')).token)
}, 120_000)
afterAll(async () => {
  await app.close()
  await new Promise((resolve) => bait.close(resolve))
})

const endpoints = modules.flatMap((module) => module.endpoints)

type Attack = (given: Material) => string | Promise<string>

const unsigned =
  (alg: unknown): Attack =>
  ({ header, claims }) =>
    `${textOf({ ...header, alg }, claims)}.`

const keepingTheSignature =
  (alg: unknown): Attack =>
  ({ header, claims, token }) =>
    `${textOf({ ...header, alg }, claims)}.${token.split('.')[2]}`

const withSecret =
  (bits: 256 | 384 | 512, secretOf: (given: Material) => string | Buffer): Attack =>
  (given) =>
    signHmac(bits, secretOf(given), textOf({ ...given.header, alg: `HS${bits}` }, given.claims))

/** Signed by the attacker, with members that shall make us look for the key elsewhere. */
const byAttacker =
  (membersOf: (given: Material) => object): Attack =>
  async (given) =>
    await given.signAsAttacker({ ...given.header, ...membersOf(given) }, given.claims)

/** Under our own signature: what is refused is refused for its form. */
const byUs =
  (membersOf: (given: Material) => object): Attack =>
  async (given) =>
    await given.signAsWe({ ...given.header, ...membersOf(given) }, given.claims)

const withSignature =
  (change: (signature: Buffer) => Buffer): Attack =>
  ({ token }) => {
    const [header, claims, signature = ''] = token.split('.')
    const changed = change(Buffer.from(signature, 'base64url'))
    return `${header}.${claims}.${changed.toString('base64url')}`
  }

const derOf = ({ publicPem }: Material): Buffer =>
  createPublicKey(publicPem).export({ type: 'spki', format: 'der' })

/** RFC 8725, section 2, and what was found in libraries since: one function makes one token. */
const attacks: Readonly<Record<string, Attack>> = {
  ...Object.fromEntries(
    [
      'none',
      'None',
      'NONE',
      'nOnE',
      ' none',
      'none ',
      'none\u0000',
      '',
      null,
      undefined,
      [],
      0,
    ].flatMap((alg) => [
      [`no signature under alg ${JSON.stringify(alg)}`, unsigned(alg)],
      [`another alg over a true signature, ${JSON.stringify(alg)}`, keepingTheSignature(alg)],
    ]),
  ),
  'several algorithms': keepingTheSignature(['ES256', 'none']),
  'HS256 with our public key as JWK': withSecret(256, ({ publicJwk }) => publicJwk),
  'HS256 with our public key as PEM': withSecret(256, ({ publicPem }) => publicPem),
  'HS384 with our public key as PEM': withSecret(384, ({ publicPem }) => publicPem),
  'HS512 with our public key as PEM': withSecret(512, ({ publicPem }) => publicPem),
  'HS256 with our public key as PEM on its lines': withSecret(256, ({ publicPem }) =>
    publicPem.trim(),
  ),
  'HS256 with our public key as DER': withSecret(256, derOf),
  'HS256 with the number in our public key': withSecret(256, ({ publicJwk }) =>
    Buffer.from((JSON.parse(publicJwk) as { x: string }).x, 'base64url'),
  ),
  'HS256 with no secret': withSecret(256, () => ''),
  'HS256 with a weak secret': withSecret(256, () => 'secret'),
  ...Object.fromEntries(
    ['ES384', 'ES512', 'ES256K', 'RS256', 'PS256', 'EdDSA', 'HS256'].map((alg) => [
      `another algorithm by its name, ${alg}`,
      byAttacker(() => ({ alg })),
    ]),
  ),
  'the key of somebody else under our kid': byAttacker(() => ({})),
  'another key of ours under its own kid': byUs(({ otherKid }) => ({ kid: otherKid })),
  ...Object.fromEntries(
    [
      '../../../../../../dev/null',
      '/dev/null',
      "' or 1=1 --",
      "' union select 'AAAA' --",
      'key_\u0000',
      '__proto__',
      'constructor',
      '',
      '*',
      'x'.repeat(500),
      7,
      null,
      ['key'],
      { '': 1 },
    ].flatMap((kid) => [
      [`kid ${JSON.stringify(kid).slice(0, 40)}`, byAttacker(() => ({ kid }))],
      [
        `kid ${JSON.stringify(kid).slice(0, 40)} with no secret`,
        ({ header, claims }: Material) =>
          signHmac(256, '', textOf({ ...header, alg: 'HS256', kid }, claims)),
      ],
    ]),
  ),
  'an unknown kid': byAttacker(() => ({ kid: newId('key', new Date(0)) })),
  'no kid': byAttacker(() => ({ kid: undefined })),
  'our signature and no kid': byUs(() => ({ kid: undefined })),
  'our kid in capitals': byUs(({ header }) => ({ kid: String(header['kid']).toUpperCase() })),
  'our kid with a space': byUs(({ header }) => ({ kid: `${String(header['kid'])} ` })),
  'an embedded jwk': byAttacker(({ attackersJwk: jwk }) => ({ jwk })),
  'an embedded jwk without kid': byAttacker(({ attackersJwk: jwk }) => ({ jwk, kid: undefined })),
  'a jku': byAttacker(() => ({ jku: baitUrl })),
  'an x5u': byAttacker(() => ({ x5u: baitUrl })),
  'an x5c': byAttacker(({ publicPem }) => ({ x5c: [publicPem.split('\n')[1]] })),
  ...Object.fromEntries(
    Object.entries({
      'an embedded jwk': ({ attackersJwk: jwk }: Material) => ({ jwk }),
      'a jku': () => ({ jku: baitUrl }),
      'an x5u': () => ({ x5u: baitUrl }),
      'an x5c': () => ({ x5c: ['AAAA'] }),
      'an x5t': () => ({ x5t: 'AAAA' }),
      'an unknown critical member': () => ({ crit: ['x'], x: 1 }),
      'an empty crit': () => ({ crit: [] }),
      'a crit that names the algorithm': () => ({ crit: ['alg'] }),
      'b64 false': () => ({ b64: false, crit: ['b64'] }),
      'b64 true': () => ({ b64: true, crit: ['b64'] }),
      zip: () => ({ zip: 'DEF' }),
      'a nested token as its cty': () => ({ cty: 'JWT' }),
      'typ JWT': () => ({ typ: 'JWT' }),
      'the typ of an id token': () => ({ typ: 'id+jwt' }),
      'no typ': () => ({ typ: undefined }),
      'a typ that is no text': () => ({ typ: ['at+jwt'] }),
    }).map(([name, membersOf]) => [`our signature under a header with ${name}`, byUs(membersOf)]),
  ),
  'a payload that is not encoded': ({ header, claims, token }) => {
    const text = `${textOf({ ...header, b64: false, crit: ['b64'] }, claims).split('.')[0]}`
    return `${text}.${JSON.stringify(claims).replaceAll(/[. ]/g, '')}.${token.split('.')[2]}`
  },
  'members twice, none last': ({ header, claims }) =>
    `${textOf(JSON.stringify(header).replace('}', ',"alg":"none"}'), claims)}.`,
  'members twice, none first': ({ header, claims }) =>
    `${textOf(JSON.stringify(header).replace('{', '{"alg":"none",'), claims)}.`,
  'members twice under our signature': async ({ header, claims, signAsWe }) =>
    await signAsWe(JSON.stringify(header).replace('{', '{"alg":"none",'), claims),
  'claims twice over a true signature': ({ header, claims, token }) => {
    const twice = JSON.stringify(claims).replace('{', `{"sub":"${newId('usr', new Date(0))}",`)
    return `${textOf(header, twice)}.${token.split('.')[2]}`
  },
  'claims of another over a true signature': ({ header, claims, token }) =>
    `${textOf(header, { ...claims, aud: 'staff' })}.${token.split('.')[2]}`,
  'a header that reaches for its prototype': ({ claims }) =>
    `${textOf('{"__proto__":{"alg":"none","typ":"at+jwt"}}', claims)}.`,
  ...Object.fromEntries(
    ['null', '[]', '1', '"ES256"', '{', ''].map((header) => [
      `a header that is ${header || 'nothing'}`,
      async ({ claims, signAsWe }: Material) => await signAsWe(header, claims),
    ]),
  ),
  ...Object.fromEntries(
    ['null', '[]', '1', '{', ''].map((claims) => [
      `claims that are ${claims || 'nothing'}`,
      async ({ header, signAsWe }: Material) => await signAsWe(header, claims),
    ]),
  ),
  'an empty signature': withSignature(() => Buffer.alloc(0)),
  'a signature of zeros': withSignature(() => Buffer.alloc(64)),
  'a signature of ones': withSignature(() => Buffer.alloc(64, 255)),
  'half a signature': withSignature((bytes) => bytes.subarray(0, 32)),
  'a signature and more': withSignature((bytes) => Buffer.concat([bytes, Buffer.of(0)])),
  'a signature with one bit changed': withSignature((bytes) =>
    Buffer.concat([Buffer.of((bytes[0] ?? 0) ^ 1), bytes.subarray(1)]),
  ),
  'a signature in DER': ({ token }) => inDer(token),
  'two parts': ({ token }) => token.split('.').slice(0, 2).join('.'),
  'four parts': ({ token }) => `${token}.${token.split('.')[1]}`,
  'five parts, of dots': ({ token }) => `${token}..`,
  'five parts, sealed for our key': encryptForUs,
  'the form of JSON': ({ token }) => {
    const [header, payload, signature] = token.split('.')
    return JSON.stringify({ protected: header, payload, signature })
  },
  'no token at all': () => 'null',
  padding: ({ token }) => `${token}=`,
  'another alphabet': ({ header, claims, token }) =>
    `${textOf(header, claims)}.${token.split('.')[2]?.replace(/.$/, '+')}`,
}

/** One endpoint of each kind of access, another one in each run, and those that are special. */
function choose(random: () => number): Endpoint[] {
  const kinds = new Map<string, Endpoint[]>()
  for (const endpoint of endpoints) {
    const { access, cache, upload, rawBody, alsoProduces, list } = endpoint.contract
    const kind = JSON.stringify([access, cache, !!upload, rawBody, alsoProduces, !!list])
    kinds.set(kind, [...(kinds.get(kind) ?? []), endpoint])
  }
  return [...kinds.values()].map((of) => of[Math.floor(random() * of.length)] as Endpoint)
}

/** Each forgery is tried at so many kinds of endpoint; over the runs at all of them. */
const kindsEach = 4

function shuffled<T>(list: readonly T[], random: () => number): T[] {
  const ranked = list.map((item) => ({ item, rank: random() }))
  return ranked.toSorted((a, b) => a.rank - b.rank).map(({ item }) => item)
}

async function present(endpoint: Endpoint, token: string): Promise<Reply> {
  const address = endpoint.path.slice(1).replaceAll(/:\w+/g, 'no-id')
  return await app.request(`${endpoint.method} /${address}`, { token })
}

/** Everything that the answer says but for where it was asked and which request it was. */
function wordsOf({ status, headers, body }: Reply): unknown {
  const { instance: _instance, requestId: _requestId, ...words } = body
  return [status, headers.get('content-type'), headers.get('www-authenticate'), words]
}

const refused = [
  401,
  'application/problem+json',
  'Bearer',
  {
    type: 'urn:bureau:problem:unauthorized',
    title: 'This needs a valid token: it is missing, wrong or expired.',
    status: 401,
    detail: 'This needs a valid token: it is missing, wrong or expired.',
    code: 'unauthorized',
  },
]

promise(45, 'no forged token opens any kind of endpoint, and all hear the same', async (proof) => {
  const chosen = choose(() => proof.random())
  expect(chosen.length).toBeGreaterThan(15)
  const whole = await material.signAsWe(material.header, material.claims)
  expect((await app.request('GET /api/auth/me', { token: whole })).status, 'a whole one').toBe(200)
  const wrong: string[] = []
  for (const [name, forge] of Object.entries(attacks)) {
    const token = await forge(material)
    for (const endpoint of shuffled(chosen, () => proof.random()).slice(0, kindsEach)) {
      const words = wordsOf(await present(endpoint, token))
      if (JSON.stringify(words) === JSON.stringify(refused)) continue
      wrong.push(`${name} at ${endpoint.method} ${endpoint.path}: ${JSON.stringify(words)}`)
    }
  }
  expect(wrong).toEqual([])
  expect(visits, 'nobody follows an address in a token').toBe(0)
  const count = Object.keys(attacks).length
  proof.measured(`${count} forgeries, each at ${kindsEach} of ${chosen.length} kinds of endpoint`)
})

promise(45, 'no endpoint takes a token cut anywhere', async (proof) => {
  const cut = (token: string): string => token.slice(0, 1 + proof.random() * (token.length - 4))
  const signatures = new Set<string>()
  for (const endpoint of endpoints) {
    const token = cut(material.token)
    expect(wordsOf(await present(endpoint, token)), `${endpoint.path} ${token}`).toEqual(refused)
    signatures.add(token)
  }
  proof.measured(`${endpoints.length} endpoints, ${signatures.size} cuts`)
})

promise(45, 'a token is taken from the Authorization header alone, as Bearer', async (proof) => {
  const { token } = material
  const good = await app.request('GET /api/auth/me', {
    headers: { authorization: `bearer ${token}` },
  })
  expect(good.status).toBe(200)
  const elsewhere: readonly [`GET /${string}`, Record<string, string>][] = [
    [`GET /api/auth/me?access_token=${token}`, {}],
    [`GET /api/auth/me?token=${token}`, {}],
    ['GET /api/auth/me', { cookie: `access_token=${token}; bureau_refresh=${token}` }],
    ['GET /api/auth/me', { authorization: `Basic ${token}` }],
    ['GET /api/auth/me', { authorization: token }],
    ['GET /api/auth/me', { authorization: `Bearer Bearer ${token}` }],
    ['GET /api/auth/me', { authorization: `Bearer ${token}, Bearer ${token}` }],
    ['GET /api/auth/me', { 'x-access-token': token }],
    ['GET /api/auth/me', { 'x-order-token': token }],
  ]
  for (const [route, headers] of elsewhere) {
    expect([route, headers, wordsOf(await app.request(route, { headers }))]).toEqual([
      route,
      headers,
      refused,
    ])
  }
  proof.measured(`${elsewhere.length} other places`)
})

promise(46, 'every claim is checked, under our own signature', async (proof) => {
  const now = Math.floor(app.now().getTime() / secondMs)
  const { header, claims, signAsWe } = material
  const bob = await app.asCustomer('bob')
  const [, bobsClaims] = partsOf(bob.token)
  const wrong: Readonly<Record<string, object>> = {
    'another iss': { iss: 'https://evil.example' },
    'the iss with a slash': { iss: `${String(claims['iss'])}/` },
    'no iss': { iss: undefined },
    'several iss': { iss: [claims['iss']] },
    'an unknown aud': { aud: 'admin' },
    'no aud': { aud: undefined },
    'both audiences': { aud: ['customer', 'staff'] },
    'the other audience': { aud: 'staff' },
    'no exp': { exp: undefined },
    'an exp in the past': { exp: now - 1 },
    'an exp of now': { exp: now },
    'an exp as text': { exp: String(now + 600) },
    'an exp that is no whole number': { exp: now + 600.5 },
    'an exp that is far away': { exp: now + 100 * 365 * 24 * 3600 },
    'sixteen minutes': { iat: now, exp: now + 16 * 60 },
    'no iat': { iat: undefined },
    'an iat of the future': { iat: now + 120, exp: now + 600 },
    'an iat as text': { iat: String(now) },
    'an nbf of the future': { nbf: now + 120 },
    'an nbf as text': { nbf: 'now' },
    'no sub': { sub: undefined },
    'the sub of somebody else': { sub: bobsClaims['sub'] },
    'the sid of somebody else': { sid: bobsClaims['sid'] },
    'a sid that there is none': { sid: newId('ses', app.now()) },
    'no sid': { sid: undefined },
    'no jti': { jti: undefined },
  }
  for (const [name, members] of Object.entries(wrong)) {
    const token = await signAsWe(header, { ...claims, ...members })
    const reply = await app.request('GET /api/auth/me', { token })
    expect([name, wordsOf(reply)]).toEqual([name, refused])
  }
  const role = await signAsWe(header, { ...claims, role: 'admin', permissions: ['users:write'] })
  expect((await app.request('GET /api/users', { token: role })).status).toBe(403)
  proof.measured(`${Object.keys(wrong).length} wrong claims`)
})

promise(46, 'a token opens what its audience may, and 403 says that it is known', async (proof) => {
  const customer = (await app.asCustomer('ada')).token
  const staff = await app.as('admin')
  let refusals = 0
  for (const endpoint of endpoints) {
    const { access } = endpoint.contract
    if (access === 'public') continue
    const forStaff = access.some((grant) => grant === 'staff' || grant.includes(':'))
    for (const [token, isMeant] of [
      [customer, access.includes('customer')],
      [staff, forStaff],
    ] as const) {
      if (isMeant) continue
      const { status, body } = await present(endpoint, token)
      expect([endpoint.path, status, body.code]).toEqual([endpoint.path, 403, 'forbidden'])
      refusals += 1
    }
  }
  expect(refusals).toBeGreaterThan(40)
  proof.measured(`${refusals} calls with the token of the other audience, all 403`)
})

promise(46, 'an access token ends after 15 minutes, to the second', async (proof) => {
  const { body } = await app.request('POST /api/auth/register', {
    body: { email: 'cem@customer.example', password: testPassword, name: 'Cem' },
  })
  const [, { iat, exp }] = partsOf(body.accessToken)
  expect([Number(exp) - Number(iat), body.expiresIn]).toEqual([900, 900])
  const ask = async (): Promise<number> =>
    (await app.request('GET /api/auth/me', { token: body.accessToken })).status
  app.advance(Number(iat) * secondMs - app.now().getTime() + 15 * minuteMs - 10 * secondMs)
  expect(await ask()).toBe(200)
  app.advance(10 * secondMs)
  expect(await ask()).toBe(401)
  proof.measured('good 10 s before, refused at 900 s')
})
