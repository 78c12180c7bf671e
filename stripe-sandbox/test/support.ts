import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Stripe } from 'stripe'
import { startSandbox, type Sandbox, type SandboxOptions } from '../src/index.ts'

/** The official client, pointed at a sandbox; it never retries by itself. */
export function clientOf(sandbox: Pick<Sandbox, 'port'>): Stripe {
  return new Stripe('sk_test_sandbox', {
    host: '127.0.0.1',
    port: sandbox.port,
    protocol: 'http',
    telemetry: false,
    maxNetworkRetries: 0,
  })
}

/** Runs the work with a fresh sandbox and closes it whatever happens. */
export async function withSandbox<T>(
  options: Partial<SandboxOptions>,
  work: (sandbox: Sandbox, stripe: Stripe) => Promise<T>,
): Promise<T> {
  const sandbox = await startSandbox({ port: 0, ...options })
  try {
    return await work(sandbox, clientOf(sandbox))
  } finally {
    await sandbox.close()
  }
}

/** What a paid intent needs, in pounds and without redirects. */
export const CARD_PAYMENT = {
  amount: 4200,
  currency: 'gbp',
  automatic_payment_methods: { enabled: true, allow_redirects: 'never' },
} as const satisfies Stripe.PaymentIntentCreateParams

interface ReceivedWebhook {
  headers: IncomingHttpHeaders
  body: string
  event: Stripe.Event
}

export interface WebhookReceiver {
  url: string
  received: ReceivedWebhook[]
  /** The status of the next answers, in order; 200 once there are none left. */
  answers: number[]
  close(): Promise<void>
}

/** A webhook endpoint that keeps what it gets. */
export async function startReceiver(): Promise<WebhookReceiver> {
  const received: ReceivedWebhook[] = []
  const answers: number[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString()
      received.push({ headers: request.headers, body, event: JSON.parse(body) as Stripe.Event })
      response.writeHead(answers.shift() ?? 200).end()
    })
  })
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/hook`,
    received,
    answers,
    close: () => closeServer(server),
  }
}

/** Waits until the condition holds, five seconds at most unless told. */
export async function eventually(condition: () => boolean, timeoutMs = 5000): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('The condition did not come to hold in time.')
    await new Promise((resolve) => void setTimeout(resolve, 10))
  }
}

/** The error that a call of the client ends with; fails when it succeeds. */
export async function errorOf(call: Promise<unknown>): Promise<Stripe.errors.StripeError> {
  try {
    await call
  } catch (error) {
    if (error instanceof Stripe.errors.StripeError) return error
    throw error
  }
  throw new Error('The call succeeded.')
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
