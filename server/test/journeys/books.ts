import { expect } from 'vitest'
import { deriveMoney, type LedgerFacts } from '../../src/modules/payments/rules.ts'
import type { TestApp } from '../support/app.ts'

/**
 * What must hold at the end of every journey, for every order: our ledger is the provider's, what
 * the order shows is what its ledger comes to, a confirmed order has its one case, histories have
 * no two events of one version, and the provider saw a careful client.
 */
export async function booksAgree(app: Books): Promise<void> {
  const audit = app.sandbox.audit()
  expect(audit.postsWithoutKey).toEqual([])
  expect(audit.randomKeys).toEqual([])
  expect(audit.doubleCharges).toEqual([])
  const orders = await app.sql(`
    select id, number, status, total, paid, refunded, payment_status, version, case_id
    from orders order by id`)
  const ledgers = await readLedgers(app)
  for (const order of orders) {
    const id = String(order['id'])
    const ledger = ledgers.get(id) ?? emptyLedger
    const label = `order ${String(order['number'])}`
    const derived = deriveMoney(Number(order['total']), ledger)
    const { paid, refunded, payment_status: paymentStatus } = order
    expect({ paid: Number(paid), refunded: Number(refunded), paymentStatus }, label).toEqual(
      derived,
    )
    const charges = audit.chargesByOrder[id] ?? []
    expect(sumOf(charges.map(({ amount }) => amount)), `${label}: charged`).toBe(
      sumOf(stripeAmounts(ledger.payments)),
    )
    expect(sumOf(charges.map((charge) => charge.amountRefunded)), `${label}: refunded`).toBe(
      sumOf(stripeAmounts(ledger.refunds)),
    )
  }
  await casesStand(app)
  await historiesRise(app)
}

/** Ours and the provider's. */
interface Books extends Pick<TestApp, 'sql'> {
  readonly sandbox: Pick<TestApp['sandbox'], 'audit'>
}

interface LedgerRow {
  readonly provider: string
  readonly status: never
  readonly amount: number
}

interface ReadLedger extends LedgerFacts {
  payments: LedgerRow[]
  refunds: LedgerRow[]
  disputes: LedgerRow[]
}

const emptyLedger: ReadLedger = { payments: [], refunds: [], disputes: [] }

/** Read by statements of its own: the test must not trust what it tests. */
async function readLedgers(app: Books): Promise<Map<string, ReadLedger>> {
  const rows = await app.sql(`
    select 'payments' as kind, order_id, provider, status, amount::int from payments
    union all
    select 'refunds', r.order_id, p.provider, r.status, r.amount::int
    from refunds r join payments p on p.order_id = r.order_id and p.id = r.payment_id
    union all
    select 'disputes', order_id, 'stripe', status, amount::int from disputes`)
  const ledgers = new Map<string, ReadLedger>()
  for (const row of rows) {
    const id = String(row['order_id'])
    const ledger = ledgers.get(id) ?? { payments: [], refunds: [], disputes: [] }
    ledgers.set(id, ledger)
    ledger[row['kind'] as keyof ReadLedger].push(row as unknown as LedgerRow)
  }
  return ledgers
}

function stripeAmounts(rows: readonly LedgerRow[]): number[] {
  return rows
    .filter(({ provider, status }) => provider === 'stripe' && status === 'succeeded')
    .map(({ amount }) => amount)
}

/** Once confirmed an order has one case of its own, also after it was cancelled. */
async function casesStand(app: Books): Promise<void> {
  const wrong = await app.sql(`
    select o.number, o.status, o.case_id, count(c.id)::int as cases
    from orders o left join cases c on c.order_id = o.id and c.origin = 'order'
    group by o.id
    having count(c.id) <> (case when o.confirmed_at is null then 0 else 1 end)
      or (o.case_id is null) <> (o.confirmed_at is null)`)
  expect(wrong).toEqual([])
}

async function historiesRise(app: Books): Promise<void> {
  const wrong = await app.sql(`
    select e.root_id, e.root_version, count(*)::int as events
    from events e join orders o on o.id = e.root_id
    group by e.root_id, e.root_version, o.version
    having count(*) > 1 or e.root_version > o.version or e.root_version < 1`)
  expect(wrong).toEqual([])
}

function sumOf(amounts: readonly number[]): number {
  return amounts.reduce((total, amount) => total + amount, 0)
}
