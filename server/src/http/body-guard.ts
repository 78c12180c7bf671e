import type { IncomingMessage } from 'node:http'

/** So long a body of JSON may be on its way: no reply waits that long. */
const bodyWithinMs = 30_000
/** What is still taken of a body after its request was refused, so that the client hears why. */
const lingerMs = 3000
const lingerBytes = 512 * 1024

export function hasBody({ headers }: IncomingMessage): boolean {
  const length = headers['content-length']
  return headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0')
}

/** Hangs up where the body is not there in time. Files have a watch of their own. */
export function cutSlowBody(request: IncomingMessage, withinMs = bodyWithinMs): void {
  const timer = setTimeout(() => {
    if (!request.complete) request.destroy()
  }, withinMs)
  request.once('close', () => clearTimeout(timer))
}

/**
 * Goes on reading what a refused client still sends, a little and not for long, and then hangs up.
 * Hanging up at once would take the refusal away from a client that reads only when it has sent.
 */
export function lingerBriefly(request: IncomingMessage): void {
  if (request.complete || request.destroyed || !hasBody(request)) return
  let taken = 0
  const take = (chunk: Buffer): void => {
    taken += chunk.length
    if (taken > lingerBytes) hangUp()
  }
  const hangUp = (): void => {
    request.off('data', take).pause()
    // What was written to the socket, the refusal, goes out first.
    request.socket.destroySoon()
  }
  const timer = setTimeout(hangUp, lingerMs)
  request.once('close', () => clearTimeout(timer))
  request.unpipe()
  request.on('data', take).resume()
}
