import type { IncomingMessage, Server } from 'node:http'

/**
 * Whoever neither sends nor takes a byte for so long, while a request or a reply is on its way, has
 * gone. Node grants what it is still writing the same time once more before it gives up.
 */
export const stalledAfterMs = 25_000

/** So long a connection may rest between two requests: longer than proxies keep theirs. */
export const restsForMs = 72_000
const lookEveryMs = 2000

interface Rest {
  /** Requests that are not answered yet: several where a client does not wait for replies. */
  open: number
  since: number
}

/**
 * Hangs up on who rests for too long. Node's own watch begins again with any byte, and empty lines
 * between two requests, which are none themselves, would keep a connection for ever.
 */
export function endLongRests(server: Server): void {
  const rests = new Map<IncomingMessage['socket'], Rest>()
  server.on('request', ({ socket }, response) => {
    const rest = rests.get(socket) ?? { open: 0, since: 0 }
    if (!rests.has(socket)) {
      rests.set(socket, rest)
      socket.once('close', () => rests.delete(socket))
    }
    rest.open += 1
    response.once('close', () => {
      rest.open -= 1
      rest.since = performance.now()
    })
  })
  const timer = setInterval(() => {
    const before = performance.now() - restsForMs
    for (const [socket, { open, since }] of rests) {
      if (open === 0 && since < before) socket.destroy()
    }
  }, lookEveryMs).unref()
  server.once('close', () => clearInterval(timer))
}
