import { createHmac, generateKeyPairSync } from 'node:crypto'
import { exportJWK, importJWK, SignJWT, type CryptoKey, type JWK } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { cloneDatabase, type TestDatabase } from '../../test/support/database.ts'
import { newId } from '../kernel/id.ts'
import { dayMs, later, minuteMs, secondMs } from '../kernel/time.ts'
import { openPool, type Pool } from './database.ts'
import { createLogger } from './log.ts'
import { createSecrets, type Secrets } from './secrets.ts'
import { sql } from './sql.ts'
import { createTokens, type Tokens } from './tokens.ts'

const issuer = 'https://bureau.example'
const log = createLogger('silent')
const secrets = createSecrets('one key of the tests with enough characters in it 0123456789')
const now = new Date('2026-11-22T12:00:00.000Z')
const who = {
  audience: 'customer',
  userId: newId('usr', now),
  sessionId: newId('ses', now),
} as const

let database: TestDatabase
let db: Pool
let tokens: Tokens

beforeAll(async () => {
  database = await cloneDatabase()
  db = openPool({
    url: database.serverUrl,
    size: 4,
    namedStatements: true,
    timeoutMs: 10_000,
    onError: () => undefined,
  })
  tokens = await createTokens({ db, secrets, issuer, log })
})

afterAll(async () => {
  await db.close()
  await database.drop()
})

describe('sign', () => {
  test('says who, in which session and for whom, for 15 minutes, and no role', async () => {
    const token = await tokens.sign(who, now)
    const [header, payload] = partsOf(token)
    expect(header).toEqual({ alg: 'ES256', typ: 'at+jwt', kid: expect.stringMatching(/^key_/) })
    const issuedAt = now.getTime() / secondMs
    expect(payload).toEqual({
      iss: issuer,
      aud: 'customer',
      sub: who.userId,
      sid: who.sessionId,
      iat: issuedAt,
      exp: issuedAt + 900,
      jti: expect.any(String),
    })
  })

  test('never makes the same token twice', async () => {
    expect(await tokens.sign(who, now)).not.toBe(await tokens.sign(who, now))
  })
})

describe('verify', () => {
  test('answers a known token at once, until its last second', async () => {
    const token = await tokens.sign(who, now)
    await tokens.verify(token, now)
    const statements = db.statementCount()
    expect(tokens.verify(token, later(now, 15 * minuteMs - 1))).toMatchObject(who)
    expect(db.statementCount()).toBe(statements)
    expect(() => tokens.verify(token, later(now, 15 * minuteMs))).toThrow('token')
  })

  test('401 for an expired token that was never seen before', async () => {
    const token = await tokens.sign(who, now)
    await refuses(token, later(now, 15 * minuteMs))
  })

  test('401 for a token from the future, beyond what clocks differ', async () => {
    const token = await tokens.sign(who, later(now, 2 * minuteMs))
    await refuses(token)
    const close = await tokens.sign(who, later(now, 30 * secondMs))
    expect(await tokens.verify(close, now)).toMatchObject(who)
  })

  test.each([
    ['nothing', ''],
    ['one part', 'eyJhbGciOiJub25lIn0'],
    ['no JSON', 'a.b.c'],
  ])('401 for %s', async (_name, token) => {
    await refuses(token)
  })

  test('401 for a truncated token, one of four parts and one without a signature', async () => {
    const token = await tokens.sign(who, now)
    const [header, payload] = token.split('.')
    await refuses(token.slice(0, -5))
    await refuses(`${token}.${payload}`)
    await refuses(`${header}.${payload}.`)
    await refuses(`${header}.${payload}`)
  })

  test('401 for a token of any size', async () => {
    await refuses('a'.repeat(4000))
  })

  test('401 for alg none, in any spelling', async () => {
    const [header, payload] = partsOf(await tokens.sign(who, now))
    for (const alg of ['none', 'None', 'NONE', '']) {
      await refuses(`${encode({ ...header, alg })}.${encode(payload)}.`)
    }
  })

  test('401 for HS256 with our public key as its secret', async () => {
    const [header, payload] = partsOf(await tokens.sign(who, now))
    const { publicKey } = await db.one<{ publicKey: string }>(
      sql`select public_key from signing_keys limit 1`,
    )
    const text = `${encode({ ...header, alg: 'HS256' })}.${encode(payload)}`
    await refuses(`${text}.${createHmac('sha256', publicKey).update(text).digest('base64url')}`)
  })

  test('401 for a key of somebody else under our kid, an unknown kid or none', async () => {
    const [header, payload] = partsOf(await tokens.sign(who, now))
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    for (const kid of [
      String(header['kid']),
      newId('key', now),
      "' or 1=1 --",
      '../../dev/null',
      undefined,
    ]) {
      const { kid: _ours, ...rest } = header
      const given = { ...rest, alg: 'ES256', ...(kid === undefined ? {} : { kid }) }
      await refuses(await new SignJWT(payload).setProtectedHeader(given).sign(privateKey))
    }
  })

  test('401 for a key that the token brings along', async () => {
    const [header, payload] = partsOf(await tokens.sign(who, now))
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const jwk = await exportJWK(publicKey)
    const brought = [{ jwk }, { jku: 'https://evil.example/keys' }, { x5u: 'https://evil.example' }]
    for (const members of brought) {
      const given = { ...header, ...members, alg: 'ES256' }
      await refuses(await new SignJWT(payload).setProtectedHeader(given).sign(privateKey))
    }
  })

  test.each([
    ['an embedded jwk', { jwk: {} }],
    ['a jku', { jku: 'https://evil.example/keys' }],
    ['an unknown critical member', { crit: ['x'], x: 1 }],
    ['another type', { typ: 'JWT' }],
    ['no type', { typ: undefined }],
  ])('401 for our own signature under a header with %s', async (_name, members) => {
    const token = await forge({ header: members })
    await refuses(token)
  })

  test.each([
    ['another issuer', { iss: 'https://evil.example' }],
    ['another audience', { aud: 'admin' }],
    ['several audiences', { aud: ['customer', 'staff'] }],
    ['no subject', { sub: undefined }],
    ['a subject that is no login', { sub: newId('cus', now) }],
    ['no session', { sid: undefined }],
    ['a session that is no text', { sid: 7 }],
    ['no end', { exp: undefined }],
    ['an end far away', { exp: now.getTime() / secondMs + 86_400 }],
    ['an end that is no number', { exp: '9999999999' }],
    ['no name of its own', { jti: undefined }],
    ['a beginning in the future', { nbf: now.getTime() / secondMs + 600 }],
  ])('401 for our own signature over claims with %s', async (_name, members) => {
    const token = await forge({ claims: members })
    await refuses(token)
  })

  test('the forged tokens fail for their one fault: without it they pass', async () => {
    expect(await tokens.verify(await forge({}), now)).toMatchObject(who)
  })
})

describe('signing keys', () => {
  test('two nodes that start together agree on one key', async () => {
    const fresh = later(now, 200 * dayMs)
    const nodes = await Promise.all(
      Array.from({ length: 4 }, () => createTokens({ db, secrets, issuer, log })),
    )
    const signed = await Promise.all(nodes.map((node) => node.sign(who, fresh)))
    expect(new Set(signed.map((token) => partsOf(token)[0]['kid'])).size).toBe(1)
    for (const node of nodes) {
      for (const token of signed) expect(await node.verify(token, fresh)).toMatchObject(who)
    }
  })

  test('after 30 days a new key signs; tokens of the one before still verify', async () => {
    const lastMoment = new Date(Math.ceil(now.getTime() / (30 * dayMs)) * 30 * dayMs - secondMs)
    const before = await tokens.sign(who, lastMoment)
    const other = await createTokens({ db, secrets, issuer, log })
    const after = await tokens.sign(who, later(lastMoment, 2 * secondMs))
    expect(partsOf(after)[0]['kid']).not.toBe(partsOf(before)[0]['kid'])
    expect(await other.verify(before, later(lastMoment, 10 * minuteMs))).toMatchObject(who)
  })

  test('a node learns at once of the key that another one made', async () => {
    const unaware = await createTokens({ db, secrets, issuer, log })
    const fresh = later(now, 300 * dayMs)
    const token = await tokens.sign(who, fresh)
    expect(await unaware.verify(token, fresh)).toMatchObject(who)
  })

  test('unknown kids cost one look into the table a second', async () => {
    const [header, payload] = partsOf(await tokens.sign(who, now))
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const statements = db.statementCount()
    for (let attempt = 0; attempt < 20; attempt += 1) {
      const given = { ...header, alg: 'ES256', kid: newId('key', now) }
      await refuses(await new SignJWT(payload).setProtectedHeader(given).sign(privateKey))
    }
    expect(db.statementCount() - statements).toBeLessThanOrEqual(3)
  })

  test('rotate forgets keys that can verify nothing any more, and no other', async () => {
    const inAYear = later(now, 365 * dayMs)
    await tokens.rotate(inAYear)
    const { count } = await db.one<{ count: number }>(sql`select count(*) from signing_keys`)
    expect(count).toBe(1)
    await tokens.sign(who, inAYear)
  })

  test('the private half is stored encrypted; another SECRET_KEY cannot use it', async () => {
    const rows = await db.many<{ privateKey: string }>(sql`select private_key from signing_keys`)
    for (const { privateKey } of rows) expect(privateKey).not.toMatch(/"d"|kty/)
    const others = createSecrets('another key of the tests with enough characters 9876543210')
    const token = await tokens.sign(who, now)
    const node = await createTokens({ db, secrets: others, issuer, log })
    await expect(Promise.resolve(node.verify(token, now))).rejects.toMatchObject({ status: 401 })
    // It signs with a key of its own in the place of the one that it cannot read.
    expect(await node.verify(await node.sign(who, now), now)).toMatchObject(who)
  })
})

async function refuses(token: string, at = now): Promise<void> {
  const verdict = async (): Promise<unknown> => await tokens.verify(token, at)
  await expect(verdict()).rejects.toMatchObject({ status: 401, code: 'unauthorized' })
}

/** A token with the true signature of the live key over whatever the test wants it to say. */
async function forge({
  header = {},
  claims = {},
}: {
  header?: Record<string, unknown>
  claims?: Record<string, unknown>
}): Promise<string> {
  const [ourHeader, ourClaims] = partsOf(await tokens.sign(who, now))
  const key = await openPrivateKey(db, secrets, String(ourHeader['kid']))
  const text = `${encode({ ...ourHeader, ...header })}.${encode({ ...ourClaims, ...claims })}`
  const signature = await crypto.subtle.sign(
    { name: 'ECDSA', hash: 'SHA-256' },
    key,
    Buffer.from(text),
  )
  return `${text}.${Buffer.from(signature).toString('base64url')}`
}

async function openPrivateKey(db: Pool, secrets: Secrets, id: string): Promise<CryptoKey> {
  const { privateKey } = await db.one<{ privateKey: string }>(
    sql`select private_key from signing_keys where id = ${id}`,
  )
  const jwk = JSON.parse(secrets.decrypt('stored-keys', privateKey)) as JWK
  return (await importJWK(jwk, 'ES256')) as CryptoKey
}

function partsOf(token: string): Record<string, unknown>[] & { 0: Record<string, unknown> } {
  const [header, payload] = token.split('.')
  return [decode(header!), decode(payload!)] as never
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function decode(part: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>
}
