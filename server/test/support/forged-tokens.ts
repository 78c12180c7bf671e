import { createHmac } from 'node:crypto'
import { CompactEncrypt, exportJWK, exportSPKI, generateKeyPair, importJWK } from 'jose'
import type { CryptoKey, JWK } from 'jose'
import { newId } from '../../src/kernel/id.ts'
import { dayMs, later } from '../../src/kernel/time.ts'
import type { TestApp } from './app.ts'

export type Members = Readonly<Record<string, unknown>>

/** A good token of the app taken apart, with the keys that it takes to make others of it. */
export interface Material {
  readonly token: string
  readonly header: Members
  readonly claims: Members
  /** Signs as the app does, whatever is said. */
  signAsWe(header: Members | string, claims: Members | string): Promise<string>
  /** Signs with a key of the same kind that is the attacker's own. */
  signAsAttacker(header: Members | string, claims: Members | string): Promise<string>
  readonly attackersJwk: JWK
  /** The id of another key of ours, which is good too. */
  readonly otherKid: string
  /** Our public key in the two forms that one may find it in. */
  readonly publicJwk: string
  readonly publicPem: string
}

export async function takeApart(app: TestApp, token: string): Promise<Material> {
  const [header, claims] = partsOf(token)
  const claimed = { audience: 'customer', userId: newId('usr', app.now()) } as const
  // Signing something in the next period makes its key: now there are two.
  const sessionId = newId('ses', app.now())
  await app.ports.tokens.sign({ ...claimed, sessionId }, later(app.now(), 30 * dayMs))
  const keys = await app.sql('select id, public_key, private_key from signing_keys')
  const ours = keys.find(({ id }) => id === header['kid'])
  const other = keys.find(({ id }) => id !== header['kid'])
  if (!ours || !other) throw new Error('the app has no two signing keys')
  const publicJwk = String(ours['public_key'])
  const privateJwk = app.ports.secrets.decrypt('stored-keys', String(ours['private_key']))
  const privateKey = await openKey(privateJwk)
  const attackers = await generateKeyPair('ES256', { extractable: true })
  return {
    token,
    header,
    claims,
    signAsWe: async (header, claims) => await signEcdsa(privateKey, textOf(header, claims)),
    signAsAttacker: async (header, claims) =>
      await signEcdsa(attackers.privateKey, textOf(header, claims)),
    attackersJwk: await exportJWK(attackers.publicKey),
    otherKid: String(other['id']),
    publicJwk,
    publicPem: await exportSPKI(await openKey(publicJwk)),
  }
}

export function partsOf(token: string): [Members, Members] {
  const [header = '', claims = ''] = token.split('.')
  return [decode(header), decode(claims)]
}

/** Header and claims as they are signed; what is a text already is taken as it is. */
export function textOf(header: Members | string, claims: Members | string): string {
  return `${encode(header)}.${encode(claims)}`
}

export function signHmac(bits: 256 | 384 | 512, secret: string | Buffer, text: string): string {
  const signature = createHmac(`sha${bits}`, secret).update(text).digest('base64url')
  return `${text}.${signature}`
}

/** Five parts, sealed for our public key: a reader of both kinds would open it. */
export async function encryptForUs({ publicJwk, claims }: Material): Promise<string> {
  return await new CompactEncrypt(Buffer.from(JSON.stringify(claims)))
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM', typ: 'at+jwt' })
    .encrypt(await importJWK(JSON.parse(publicJwk) as JWK, 'ECDH-ES'))
}

/** The same token with its signature as certificates carry it, in DER. */
export function inDer(token: string): string {
  const [header, claims, signature = ''] = token.split('.')
  const bytes = Buffer.from(signature, 'base64url')
  const numbers = [bytes.subarray(0, 32), bytes.subarray(32)].flatMap((number) => {
    const positive = (number[0] ?? 0) > 127 ? Buffer.concat([Buffer.of(0), number]) : number
    return [Buffer.of(2, positive.length), positive]
  })
  const body = Buffer.concat(numbers)
  const der = Buffer.concat([Buffer.of(0x30, body.length), body])
  return `${header}.${claims}.${der.toString('base64url')}`
}

async function signEcdsa(key: CryptoKey, text: string): Promise<string> {
  const algorithm = { name: 'ECDSA', hash: 'SHA-256' }
  const signature = await crypto.subtle.sign(algorithm, key, Buffer.from(text))
  return `${text}.${Buffer.from(signature).toString('base64url')}`
}

async function openKey(jwk: string): Promise<CryptoKey> {
  const key = await importJWK(JSON.parse(jwk) as JWK, 'ES256', { extractable: true })
  return key as CryptoKey
}

function encode(value: Members | string): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return Buffer.from(text).toString('base64url')
}

function decode(part: string): Members {
  return JSON.parse(Buffer.from(part, 'base64url').toString()) as Members
}
