import { answer, type Answer, type HttpFacts } from '../../../http/endpoint.ts'
import { forbidden } from '../../../kernel/errors.ts'
import type { Business } from '../../../platform/context.ts'
import { isCrossSite } from '../rules.ts'
import type { Audience, SignedIn } from '../schema/index.ts'
import type { Device, OpenedSession } from '../usecases/sessions.ts'

/** What travels beside the JSON: cookies, and the headers by which a browser speaks of itself. */

/** Each audience's cookie is sent to its own endpoints only. */
export const cookies: Readonly<Record<Audience, { name: string; path: `/api/auth${string}` }>> = {
  customer: { name: 'bureau_refresh', path: '/api/auth' },
  staff: { name: 'bureau_admin_refresh', path: '/api/auth/admin' },
}

export function withCookie({
  audience,
  reply,
  refreshToken,
  refreshSeconds,
}: OpenedSession): Answer<SignedIn> {
  const cookie = { ...cookies[audience], value: refreshToken, maxAgeSeconds: refreshSeconds }
  return answer(reply, { cookies: [cookie] })
}

export function deviceOf({ headers }: HttpFacts): Device {
  return { userAgent: headerOf(headers, 'user-agent') }
}

/** The cookie is SameSite=Strict; this holds where old browsers or sibling hosts get past that. */
export function refuseCrossSite(
  { publicUrl, allowedOrigins }: Business,
  { headers }: HttpFacts,
): void {
  const origin = headerOf(headers, 'origin')
  const site = headerOf(headers, 'sec-fetch-site')
  if (isCrossSite({ origin, site }, [publicUrl, ...allowedOrigins])) {
    throw forbidden({ detail: 'A page of another site sent this.' })
  }
}

function headerOf(headers: HttpFacts['headers'], name: string): string | undefined {
  const value = headers[name]
  return Array.isArray(value) ? value[0] : value
}
