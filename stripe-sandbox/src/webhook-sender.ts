import { createHmac } from 'node:crypto'
import { Agent, request as httpRequest } from 'node:http'
import { Agent as SecureAgent, request as httpsRequest } from 'node:https'

const TIMEOUT_MS = 10_000

/** The end of one attempt: an HTTP status, or why there is none. */
type SendResult = { status: number; error: null } | { status: null; error: string }

export interface WebhookSender {
  send(url: string, body: string, signature: string): Promise<SendResult>
  /** Cuts what is under way. */
  close(): void
}

/**
 * Sends signed bodies to the webhook, over connections that are kept; redirects are not followed.
 */
export function createWebhookSender(maxConcurrent: number): WebhookSender {
  const options = { keepAlive: true, maxSockets: maxConcurrent }
  const agents = { 'http:': new Agent(options), 'https:': new SecureAgent(options) }
  const abort = new AbortController()

  function send(url: string, body: string, signature: string): Promise<SendResult> {
    const secure = url.startsWith('https:')
    const start = secure ? httpsRequest : httpRequest
    return new Promise((resolve) => {
      const signal = AbortSignal.any([abort.signal, AbortSignal.timeout(TIMEOUT_MS)])
      const request = start(url, {
        agent: agents[secure ? 'https:' : 'http:'],
        headers: {
          'content-length': Buffer.byteLength(body),
          'content-type': 'application/json; charset=utf-8',
          'stripe-signature': signature,
          'user-agent': 'Stripe/1.0 (sandbox)',
        },
        method: 'POST',
        signal,
      })
      const fail = (error: Error) => {
        const message = signal.aborted && !abort.signal.aborted ? 'timed out' : error.message
        resolve({ status: null, error: message.slice(0, 200) })
      }
      request.on('error', fail)
      request.on('response', (response) => {
        response.on('error', fail)
        response.on('end', () => resolve({ status: response.statusCode ?? 0, error: null }))
        // The status is all that counts; the body is read only to keep the connection usable.
        response.resume()
      })
      request.end(body)
    })
  }

  return {
    send,
    close() {
      abort.abort()
      agents['http:'].destroy()
      agents['https:'].destroy()
    },
  }
}

/** The `Stripe-Signature` header: a v1 signature for each secret, the first one first. */
export function signPayload(body: string, secrets: readonly string[], now: Date): string {
  const timestamp = Math.floor(now.getTime() / 1000)
  const signatures = secrets.map((secret) => {
    const signature = createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex')
    return `v1=${signature}`
  })
  return [`t=${timestamp}`, ...signatures].join(',')
}
