import type { FastifyReply, onRequestHookHandler } from 'fastify'
import { unavailable } from '../kernel/errors.ts'

/**
 * Answers 503 to a request that is not answered within `withinMs`. What it asked for goes on: who
 * sent an Idempotency-Key hears its end by asking again.
 *
 * The framework's own `handlerTimeout` forgets every request whose body it has read to its end
 * (https://github.com/fastify/fastify/pull/6725), and those are the ones that change something.
 */
export function endInTime(withinMs: number): onRequestHookHandler {
  return (_request, reply, done) => {
    const timer = setTimeout(() => endNow(reply), withinMs)
    reply.raw.once('close', () => clearTimeout(timer))
    done()
  }
}

function endNow(reply: FastifyReply): void {
  if (reply.sent) return
  // Half a file cannot be taken back: only cutting it off tells that it is not whole.
  if (reply.raw.headersSent) reply.raw.destroy()
  else void reply.send(unavailable({ retryAfterSeconds: 1, facts: { reason: 'deadline' } }))
}
