import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { malformedRequest, notAcceptable, type AppError } from '../kernel/errors.ts'
import { newId } from '../kernel/id.ts'
import type { Clock } from '../platform/clock.ts'

/** Whether somebody in particular calls, or says so. */
export function hasToken(headers: IncomingHttpHeaders): boolean {
  return headers.authorization !== undefined || headers['x-order-token'] !== undefined
}

/** Connections that sent something ambiguous: what follows on them is not believed either. */
const refused = new WeakMap<IncomingMessage['socket'], AppError>()

/** What could mean different things to different readers, and whatever comes behind it. */
export function findAmbiguity(request: IncomingMessage): AppError | undefined {
  const ambiguity = refused.get(request.socket) ?? ambiguityOf(request)
  if (ambiguity) refused.set(request.socket, ambiguity)
  return ambiguity
}

/** No Host header or two of them, or two tokens at once. */
function ambiguityOf({ rawHeaders, httpVersion }: IncomingMessage): AppError | undefined {
  const hosts = count(rawHeaders, 'host')
  if (hosts > 1) return malformedRequest({ detail: 'There are two Host headers.' })
  if (hosts === 0 && httpVersion === '1.1') {
    return malformedRequest({ detail: 'There is no Host header.' })
  }
  const logins = count(rawHeaders, 'authorization')
  if (logins > 1) return malformedRequest({ detail: 'There are two Authorization headers.' })
  if (logins + count(rawHeaders, 'x-order-token') > 1) {
    return malformedRequest({ detail: 'There are two tokens: send the one that you act with.' })
  }
  return undefined
}

/** Names and values stand by turns. */
function count(rawHeaders: readonly string[], wanted: string): number {
  let found = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]
    if (name?.length === wanted.length && name.toLowerCase() === wanted) found += 1
  }
  return found
}

const readableTypes = /\*\/\*|application\/\*|application\/([a-z.-]+\+)?json/i

export function takesJson({ accept }: IncomingHttpHeaders): boolean {
  return accept === undefined || readableTypes.test(accept)
}

/** 406 where neither JSON nor any of the other media types would be read. */
export function refuseUnreadableReply(
  headers: IncomingHttpHeaders,
  also: readonly string[] = [],
): void {
  if (takesJson(headers)) return
  const { accept = '' } = headers
  const isReadable = also.some((type) => {
    const [family = ''] = type.split('/')
    return accept.includes(type) || accept.includes(`${family}/*`)
  })
  if (!isReadable) throw notAcceptable()
}

/** The client's own name for the request where it is a harmless one, or else one of ours. */
export function readRequestId(headers: IncomingHttpHeaders, clock: Clock): string {
  const { 'x-request-id': given } = headers
  return typeof given === 'string' && /^[\w.:-]{1,100}$/.test(given) ? given : newId('req', clock())
}
