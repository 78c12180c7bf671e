import { createHash } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { pdfOfSize } from './sample-files.ts'

/** What a customer was told is theirs. */
export interface Bought {
  readonly key: string
  readonly orderId: string
  readonly orderToken: string
  readonly document: { readonly key: string; readonly sha256: string } | undefined
}

export interface Buyers {
  /** Every purchase that was answered with 201, whenever that was. */
  readonly bought: readonly Bought[]
  /** Idempotency-Keys of those who went away without an answer; each may have an order. */
  readonly abandoned: readonly string[]
  /** Answers that no customer should ever get. */
  readonly complaints: readonly string[]
  /** The most that anybody waited for an answer to one request, in milliseconds. */
  longestMs(): number
  /** Nobody new comes; returns once everybody who is patient has what they came for. */
  leave(): Promise<void>
}

export interface BuyersOptions {
  /** Where Bureau is at the moment. */
  readonly url: () => string
  readonly serviceId: string
  /** How many buy at the same time. */
  readonly count: number
  readonly random: () => number
  /** What share of those whose answer is lost send the request again, with the same key. */
  readonly patientShare: number
}

const pauseMs = 500
const longestPauseMs = 3000
const mostRetrying = 200

/** Guests who buy with a card and send a document, one after the other, for as long as they may. */
export function startBuyers(options: BuyersOptions): Buyers {
  const { count, random, patientShare } = options
  const bought: Bought[] = []
  const abandoned: string[] = []
  const complaints: string[] = []
  const retrying = new Set<Promise<void>>()
  const told = { longestMs: 0, hasClosed: false }
  const desk: Desk = { options, bought, complaints, told }
  const visit = async (key: string): Promise<void> => {
    const errand: Errand = { key, bytes: 1000 + Math.floor(random() * 200_000) }
    if (await tryOnce(desk, errand)) return
    // Nobody hammers a server that is not there.
    await wait(pauseMs)
    if (random() >= patientShare) return void abandoned.push(key)
    // Whoever waits for a lost answer keeps nobody else from buying.
    const done = retry(desk, errand).finally(() => retrying.delete(done))
    retrying.add(done)
  }
  const loops = Array.from({ length: count }, async (_, index) => {
    for (let turn = 0; !told.hasClosed; turn += 1) {
      // While nothing answers, every visit would leave one more who asks again.
      if (retrying.size >= mostRetrying) await Promise.race(retrying)
      await visit(`buyer-${index}-${turn}-${random().toString(36).slice(2)}-of-the-crash`)
    }
  })
  return {
    bought,
    abandoned,
    complaints,
    longestMs: () => told.longestMs,
    leave: async () => {
      told.hasClosed = true
      await Promise.all(loops)
      while (retrying.size > 0) await Promise.all(retrying)
    },
  }
}

interface Desk {
  readonly options: BuyersOptions
  readonly bought: Bought[]
  readonly complaints: string[]
  readonly told: { longestMs: number; hasClosed: boolean }
}

interface Errand {
  readonly key: string
  /** Of the document. */
  readonly bytes: number
  order?: Pick<Bought, 'orderId' | 'orderToken'> | undefined
}

/** Ever more slowly: hundreds who ask ten times a second would keep each other waiting. */
async function retry(desk: Desk, errand: Errand): Promise<void> {
  let nextMs = pauseMs
  do {
    await wait(nextMs)
    nextMs = Math.min(2 * nextMs, longestPauseMs)
  } while (!(await tryOnce(desk, errand)))
}

/** True once the order and its document are acknowledged. */
async function tryOnce(desk: Desk, errand: Errand): Promise<boolean> {
  errand.order ??= await order(desk, errand.key)
  if (!errand.order) return false
  const document = await send(desk, errand)
  if (!document) return false
  desk.bought.push({ key: errand.key, ...errand.order, document })
  return true
}

async function order(desk: Desk, key: string): Promise<Errand['order']> {
  const reply = await post(desk, 'checkout/process', {
    headers: { 'idempotency-key': key, 'content-type': 'application/json' },
    body: JSON.stringify({
      items: [{ serviceId: desk.options.serviceId, quantity: 1 }],
      // One address a key: a second order of it would be a second order of its key.
      customer: { email: `${key}@example.com`, name: 'Grace' },
      paymentMethod: 'pm_card_visa',
    }),
  })
  if (!reply) return undefined
  const { order: placed, payment, orderToken } = reply as CheckoutReply
  const isPaid = payment?.status === 'succeeded' && placed.paymentStatus === 'paid'
  // Resumed after a crash, the payment may still be under way: the customer asks once more.
  return isPaid ? { orderId: placed.id, orderToken } : undefined
}

interface CheckoutReply {
  readonly order: { readonly id: string; readonly paymentStatus: string }
  readonly payment: { readonly status: string } | null
  readonly orderToken: string
}

async function send(desk: Desk, { key, bytes, order }: Errand): Promise<Bought['document']> {
  const file = pdfOfSize(bytes, `${key}.pdf`)
  const form = new FormData()
  form.append('file', new Blob([new Uint8Array(file.bytes)], { type: file.type }), file.name)
  const reply = await post(desk, 'documents/upload', {
    headers: { 'idempotency-key': `${key}-document`, 'x-order-token': order?.orderToken ?? '' },
    body: form,
  })
  if (!reply) return undefined
  const sha256 = createHash('sha256').update(file.bytes).digest('hex')
  return { key: (reply as { key: string }).key, sha256 }
}

/** What was answered with 201; undefined where it is to be sent again. */
async function post(
  { options, complaints, told }: Desk,
  place: string,
  { headers, body }: { headers: Record<string, string>; body: string | FormData },
): Promise<unknown> {
  const sentAt = performance.now()
  try {
    const reply = await fetch(`${options.url()}/api/${place}`, { method: 'POST', headers, body })
    const answer: unknown = await reply.json()
    if (reply.status === 201) return answer
    const mayComeAgain = reply.headers.get('retry-after') !== null
    if (![409, 503, 507].includes(reply.status) || !mayComeAgain) {
      complaints.push(`${place}: ${reply.status} ${JSON.stringify(answer)}`)
    }
  } catch {
    // No answer at all: the process, or the way to it, is gone.
  } finally {
    told.longestMs = Math.max(told.longestMs, performance.now() - sentAt)
  }
  return undefined
}
