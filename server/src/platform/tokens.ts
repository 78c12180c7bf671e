import { randomUUID } from 'node:crypto'
import { errors, exportJWK, generateKeyPair, importJWK, jwtVerify, SignJWT } from 'jose'
import type { CryptoKey, JWK, JWTHeaderParameters, JWTPayload, JWTVerifyGetKey } from 'jose'
import { assert, present } from '../kernel/assert.ts'
import { unauthorized } from '../kernel/errors.ts'
import { isId, newId, type Id } from '../kernel/id.ts'
import { dayMs, secondMs } from '../kernel/time.ts'
import type { Db, Pool, Tx } from './database.ts'
import type { Logger } from './log.ts'
import type { Secrets } from './secrets.ts'
import { sql } from './sql.ts'

/** What an access token says: who, in which session, for which audience; never a role. */
export interface AccessClaims {
  readonly audience: 'customer' | 'staff'
  readonly userId: Id<'usr'>
  readonly sessionId: Id<'ses'>
  readonly tokenId: string
  /** Seconds since the epoch. */
  readonly expiresAt: number
}

export interface Tokens {
  sign(claims: Pick<AccessClaims, 'audience' | 'userId' | 'sessionId'>, now: Date): Promise<string>
  /**
   * Throws 401 for anything but a good, unexpired token of ours. A token that was verified before
   * is answered at once, without a promise.
   */
  verify(token: string, now: Date): AccessClaims | Promise<AccessClaims>
  /** Makes the key of this period where there is none and deletes those that sign nothing alive. */
  rotate(now: Date): Promise<void>
}

export interface TokenOptions {
  readonly db: Pool
  readonly secrets: Secrets
  /** The same on all nodes: the public address of the business. */
  readonly issuer: string
  readonly log: Logger
}

export const accessTokenSeconds = 15 * 60

/**
 * ECDSA on P-256 is the one algorithm (decision 0005). Which one a token names is never asked:
 * RFC 8725 section 3.1.
 */
const algorithm = 'ES256'
const tokenType = 'at+jwt'
/** Nodes' clocks may differ by this much; a token's end is taken to the second all the same. */
const leewaySeconds = 60
/** Ours have about 450 characters. */
const maxTokenLength = 1024
const maxVerified = 10_000

export async function createTokens(options: TokenOptions): Promise<Tokens> {
  const { db, issuer } = options
  const keys = await openKeyRing(options)
  /** By the token's text; the oldest goes first. */
  const verified = new Map<string, AccessClaims>()

  async function verifyAnew(token: string, now: Date): Promise<AccessClaims> {
    const payload = await readSignedPayload(token, { keys, issuer, now })
    const claims = toClaims(payload, now)
    if (verified.size >= maxVerified) verified.delete(verified.keys().next().value ?? '')
    verified.set(token, claims)
    return claims
  }

  return {
    sign: async ({ audience, userId, sessionId }, now) => {
      const key = await keys.forSigning(now)
      const issuedAt = Math.floor(now.getTime() / secondMs)
      return await new SignJWT({ sid: sessionId, jti: randomUUID() })
        .setProtectedHeader(headerOf(key.id))
        .setIssuer(issuer)
        .setAudience(audience)
        .setSubject(userId)
        .setIssuedAt(issuedAt)
        .setExpirationTime(issuedAt + accessTokenSeconds)
        .sign(key.privateKey)
    },
    verify: (token, now) => {
      const claims = verified.get(token)
      if (!claims) return verifyAnew(token, now)
      if (isCurrent(claims.expiresAt, now)) return claims
      verified.delete(token)
      throw unauthorized()
    },
    rotate: async (now) => {
      await keys.forSigning(now)
      await db.run(sql`delete from signing_keys where not_after <= ${now}`)
    },
  }
}

interface Reading {
  readonly keys: KeyRing
  readonly issuer: string
  readonly now: Date
}

async function readSignedPayload(
  token: string,
  { keys, issuer, now }: Reading,
): Promise<JWTPayload> {
  if (token.length > maxTokenLength) throw unauthorized()
  try {
    const findKey: JWTVerifyGetKey = (header, { protected: written }) =>
      findVerifier(keys, header, written)
    const { payload } = await jwtVerify(token, findKey, {
      algorithms: [algorithm],
      issuer,
      typ: tokenType,
      clockTolerance: leewaySeconds,
      currentDate: now,
      requiredClaims: ['iss', 'aud', 'sub', 'sid', 'iat', 'exp', 'jti'],
    })
    return payload
  } catch (error) {
    if (error instanceof errors.JOSEError) throw unauthorized({ cause: error })
    throw error
  }
}

function headerOf(kid: string): JWTHeaderParameters {
  return { alg: algorithm, typ: tokenType, kid }
}

/** Only among our own keys, and only for a header that is to the letter the one that we write. */
async function findVerifier(
  keys: KeyRing,
  { kid }: JWTHeaderParameters,
  written: string | undefined,
): Promise<CryptoKey> {
  const isOurs =
    kid !== undefined &&
    isId('key', kid) &&
    written === Buffer.from(JSON.stringify(headerOf(kid))).toString('base64url')
  const key = isOurs ? await keys.find(kid) : undefined
  if (!key) throw unauthorized()
  return key.publicKey
}

function toClaims({ aud, sub, sid, jti, iat, exp }: JWTPayload, now: Date): AccessClaims {
  const isWhole =
    (aud === 'customer' || aud === 'staff') &&
    typeof sub === 'string' &&
    isId('usr', sub) &&
    typeof sid === 'string' &&
    isId('ses', sid) &&
    typeof jti === 'string' &&
    Number.isSafeInteger(iat) &&
    Number.isSafeInteger(exp)
  if (!isWhole) throw unauthorized()
  const issuedAt = present(iat, 'iat')
  const expiresAt = present(exp, 'exp')
  const lastsTooLong = expiresAt - issuedAt > accessTokenSeconds
  const isOfTheFuture = issuedAt > now.getTime() / secondMs + leewaySeconds
  if (!isCurrent(expiresAt, now) || lastsTooLong || isOfTheFuture) throw unauthorized()
  return { audience: aud, userId: sub, sessionId: sid, tokenId: jti, expiresAt }
}

/** Nor is one that has longer to live than a token has: the clock was put back since its issue. */
function isCurrent(expiresAt: number, now: Date): boolean {
  const leftSeconds = expiresAt - now.getTime() / secondMs
  return leftSeconds > 0 && leftSeconds <= accessTokenSeconds + leewaySeconds
}

interface SigningKey {
  readonly id: string
  readonly period: number
  readonly publicKey: CryptoKey
  readonly privateKey: CryptoKey
}

interface KeyRing {
  forSigning(now: Date): Promise<SigningKey>
  find(id: string): Promise<SigningKey | undefined>
}

/** A key signs during one period and verifies a day longer: its last token is dead long before. */
const periodMs = 30 * dayMs
const verifiesLongerMs = dayMs
/** How often a `kid` that nobody here knows may cost a look into the table. */
const lookUpEveryMs = secondMs

async function openKeyRing({ db, secrets, log }: TokenOptions): Promise<KeyRing> {
  let keys = new Map<string, SigningKey>()
  /** Sealed under another SECRET_KEY: of no use to anyone who has this one. */
  let unreadable: readonly string[] = []
  let loading: Promise<void> | undefined
  let lookedUpAt = Number.NEGATIVE_INFINITY
  let making: Promise<SigningKey> | undefined

  async function load(): Promise<void> {
    const rows = await listKeys(db)
    const opened = await Promise.all(
      rows.map(async (row) => keys.get(row.id) ?? (await openKey(row, secrets))),
    )
    const readable = opened.filter((key) => key !== undefined)
    keys = new Map(readable.map((key) => [key.id, key]))
    unreadable = rows.map(({ id }) => id).filter((id) => !keys.has(id))
  }

  /** Another node may have made a key; a flood of invented ones costs a statement a second. */
  async function lookUp(): Promise<void> {
    const mayLook = performance.now() - lookedUpAt >= lookUpEveryMs
    if (!loading && mayLook) {
      lookedUpAt = performance.now()
      loading = load().finally(() => {
        loading = undefined
      })
    }
    await loading
  }

  const findOfPeriod = (period: number): SigningKey | undefined =>
    [...keys.values()].find((key) => key.period === period)

  /** Nodes that come here together all insert; the period's uniqueness lets one of them win. */
  async function make(period: number, now: Date): Promise<SigningKey> {
    await load()
    const known = findOfPeriod(period)
    if (known) return known
    const sealed = await sealNewKey(period, secrets, now)
    if (unreadable.length > 0) {
      log.warn({ keys: unreadable }, 'signing keys made under another SECRET_KEY are replaced')
    }
    await db.transaction(async (tx) => {
      await deleteKeys(tx, unreadable)
      await insertKey(tx, sealed)
    })
    await load()
    return present(findOfPeriod(period), `the signing key of period ${period}`)
  }

  await load()
  return {
    forSigning: async (now) => {
      const period = Math.floor(now.getTime() / periodMs)
      const known = findOfPeriod(period)
      if (known) return known
      making ??= make(period, now).finally(() => {
        making = undefined
      })
      return await making
    },
    find: async (id) => {
      if (!keys.has(id)) await lookUp()
      return keys.get(id)
    },
  }
}

/** A key as it stands in the table: the public half readable, the private one encrypted. */
interface SealedKey {
  readonly id: string
  readonly period: number
  readonly publicKey: string
  readonly privateKey: string
  readonly createdAt: Date
  readonly notAfter: Date
}

async function sealNewKey(period: number, secrets: Secrets, now: Date): Promise<SealedKey> {
  const pair = await generateKeyPair(algorithm, { extractable: true })
  const privateJwk = JSON.stringify(await exportJWK(pair.privateKey))
  return {
    id: newId('key', now),
    period,
    publicKey: JSON.stringify(await exportJWK(pair.publicKey)),
    privateKey: secrets.encrypt('stored-keys', privateJwk),
    createdAt: now,
    notAfter: new Date((period + 1) * periodMs + verifiesLongerMs),
  }
}

/** Undefined where the private half was sealed under another SECRET_KEY. */
async function openKey(row: SealedKey, secrets: Secrets): Promise<SigningKey | undefined> {
  let privateText: string
  try {
    privateText = secrets.decrypt('stored-keys', row.privateKey)
  } catch {
    return undefined
  }
  return {
    id: row.id,
    period: row.period,
    publicKey: await importKey(row.publicKey),
    privateKey: await importKey(privateText),
  }
}

async function importKey(text: string): Promise<CryptoKey> {
  const key = await importJWK(JSON.parse(text) as JWK, algorithm)
  assert(!(key instanceof Uint8Array), 'a signing key is asymmetric')
  return key
}

/** Two or three are alive; more would be a fault. */
const maxKeys = 20

async function listKeys(db: Db): Promise<SealedKey[]> {
  return await db.many<SealedKey>(sql`
    select id, period, public_key, private_key, created_at, not_after
    from signing_keys order by period desc limit ${maxKeys}`)
}

async function insertKey(tx: Tx, key: SealedKey): Promise<void> {
  await tx.run(sql`
    insert into signing_keys (id, period, public_key, private_key, created_at, not_after)
    values (${key.id}, ${key.period}, ${key.publicKey}, ${key.privateKey}, ${key.createdAt},
      ${key.notAfter})
    on conflict (period) do nothing`)
}

async function deleteKeys(tx: Tx, ids: readonly string[]): Promise<void> {
  await tx.run(sql`delete from signing_keys where id = any(${ids}::text[])`)
}
