import { newId } from './ids.ts'
import type { Anomaly } from './records.ts'
import type { Store } from './store.ts'

const MAX_ANOMALIES = 1000

/**
 * A UUID anywhere in a key is what the SDK or a careless client makes up; those of the versions 3
 * and 5 are derived from a name.
 */
const RANDOM_KEY = /[0-9a-f]{8}-[0-9a-f]{4}-[124678][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/i

export interface ChargeFacts {
  charge: string
  paymentIntent: string
  amount: number
  amountRefunded: number
  currency: string
  key: string | null
}

export interface RefundFacts {
  refund: string
  charge: string
  amount: number
}

/** What a test asks of a careful client: keys on all writes, nobody charged or refunded twice. */
export interface AuditReport {
  /** Requests since this process started, by operation. */
  operations: Record<string, number>
  postsWithoutKey: Anomaly[]
  randomKeys: Anomaly[]
  /** The charges that took money, by the `order_id` in their metadata. */
  chargesByOrder: Record<string, ChargeFacts[]>
  /** Orders, and beginnings of keys up to the first colon, that took money more than once. */
  doubleCharges: { by: 'key' | 'order'; value: string; charges: ChargeFacts[] }[]
  /** What the client calls one refund, `refund_id` in the metadata, and money left for it twice. */
  doubleRefunds: { value: string; refunds: RefundFacts[] }[]
}

export interface Audit {
  note(operation: string, method: string, key: string | undefined, now: Date): void
  report(): AuditReport
}

export function createAudit(store: Store): Audit {
  const operations = new Map<string, number>()
  return {
    note(operation, method, key, now) {
      operations.set(operation, (operations.get(operation) ?? 0) + 1)
      if (method !== 'POST') return
      if (key !== undefined && !RANDOM_KEY.test(key)) return
      if (store.count('anomaly') >= MAX_ANOMALIES) return
      const kind = key === undefined ? 'key_missing' : 'key_random'
      const anomaly: Anomaly = {
        id: newId('anomaly_', 16),
        kind,
        operation,
        key: key ?? null,
        atMs: now.getTime(),
      }
      store.transact(() => store.put('anomaly', anomaly))
    },
    report: () => reportOn(store, operations),
  }
}

function reportOn(store: Store, operations: ReadonlyMap<string, number>): AuditReport {
  const byOrder = new Map<string, ChargeFacts[]>()
  const byKey = new Map<string, ChargeFacts[]>()
  for (const charge of store.values('charge')) {
    if (charge.status !== 'succeeded' || !charge.captured) continue
    const key = store.find('charge_key', charge.id)?.key ?? null
    const facts: ChargeFacts = {
      charge: charge.id,
      paymentIntent: charge.payment_intent,
      amount: charge.amount_captured,
      amountRefunded: charge.amount_refunded,
      currency: charge.currency,
      key,
    }
    collect(byOrder, charge.metadata['order_id'], facts)
    collect(byKey, key?.split(':')[0], facts)
  }
  const anomalies = [...store.values('anomaly')]
  return {
    operations: Object.fromEntries(operations),
    postsWithoutKey: anomalies.filter(({ kind }) => kind === 'key_missing'),
    randomKeys: anomalies.filter(({ kind }) => kind === 'key_random'),
    chargesByOrder: Object.fromEntries(byOrder),
    doubleCharges: [...doubles('order', byOrder), ...doubles('key', byKey)],
    doubleRefunds: findDoubleRefunds(store),
  }
}

function findDoubleRefunds(store: Store): AuditReport['doubleRefunds'] {
  const byName = new Map<string, RefundFacts[]>()
  for (const { amount, charge, id, metadata, status } of store.values('refund')) {
    if (status === 'failed' || status === 'canceled') continue
    collect(byName, metadata['refund_id'], { refund: id, charge, amount })
  }
  return [...byName]
    .filter(([, refunds]) => refunds.length > 1)
    .map(([value, refunds]) => ({ value, refunds }))
}

function collect<Facts>(
  groups: Map<string, Facts[]>,
  value: string | undefined,
  facts: Facts,
): void {
  if (value === undefined) return
  groups.set(value, [...(groups.get(value) ?? []), facts])
}

function doubles(by: 'key' | 'order', groups: Map<string, ChargeFacts[]>) {
  return [...groups]
    .filter(([, charges]) => charges.length > 1)
    .map(([value, charges]) => ({ by, value, charges }))
}
