import { randomBytes } from 'node:crypto'
import { isId, type Id } from '../../../kernel/id.ts'
import type { Secrets, SecretPurpose } from '../../../platform/secrets.ts'
import { hashOfToken } from './token-hash.ts'

/**
 * What a refresh cookie holds: `<session>.<secret>.<seal>`. The seal tells a token that we once
 * made from one that somebody thought up, before any statement runs: only the first kind may end a
 * session by coming too late.
 */
export interface RefreshToken {
  readonly sessionId: Id<'ses'>
  /** 256 bits in base64url. */
  readonly secret: string
}

const purpose: SecretPurpose = 'refresh-token'

export function firstRefreshToken(sessionId: Id<'ses'>): RefreshToken {
  return { sessionId, secret: randomBytes(32).toString('base64url') }
}

/**
 * The one token that follows this one. It is computed and not drawn, so that two requests with the
 * same cookie get the same successor although only its hash is stored; without our key nobody can
 * compute it from a stolen token.
 */
export function successorOf(secrets: Secrets, { sessionId, secret }: RefreshToken): RefreshToken {
  return { sessionId, secret: secrets.sign(purpose, `refresh successor ${sessionId} ${secret}`) }
}

/** What the sessions table keeps of it. */
export function hashOf({ secret }: RefreshToken): string {
  return hashOfToken(secret)
}

export function writeRefreshToken(secrets: Secrets, token: RefreshToken): string {
  return `${textOf(token)}.${secrets.sign(purpose, sealedTextOf(token))}`
}

/** Undefined for anything that we did not make. */
export function readRefreshToken(
  secrets: Secrets,
  cookie: string | undefined,
): RefreshToken | undefined {
  if (cookie === undefined || cookie.length > maxLength) return undefined
  const [sessionId = '', secret = '', seal = '', ...rest] = cookie.split('.')
  if (rest.length > 0 || !isId('ses', sessionId)) return undefined
  const token: RefreshToken = { sessionId, secret }
  return secrets.verify(purpose, sealedTextOf(token), seal) ? token : undefined
}

const maxLength = 200

function textOf({ sessionId, secret }: RefreshToken): string {
  return `${sessionId}.${secret}`
}

function sealedTextOf(token: RefreshToken): string {
  return `refresh token ${textOf(token)}`
}
