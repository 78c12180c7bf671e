import { booksAgree } from '../../journeys/books.ts'
import { meansToPay, type Story } from './stories.ts'
import type { World } from './world.ts'

/** What was found that should never be, and which promise it breaks. */
export interface Broken {
  readonly promise: number
  readonly what: string
}

interface Invariant {
  readonly promise: number
  find(world: World, stories: readonly Story[]): Promise<readonly string[]>
}

/** All that must hold once a world is quiet. */
const invariants: readonly Invariant[] = [
  { promise: 7, find: async (world) => findStrangeKeys(world) },
  { promise: 9, find: async (world) => findDoubles(world) },
  { promise: 9, find: findUnpaid },
  { promise: 9, find: async ({ told }) => told.complaints },
  { promise: 9, find: findForgotten },
  { promise: 10, find: findBookFaults },
  { promise: 10, find: async (world) => (await findUnpaidHere(world)).map(({ what }) => what) },
  { promise: 10, find: findDifferences },
  { promise: 10, find: findWaiting },
  { promise: 11, find: findMailFaults },
  { promise: 11, find: findRepeatedFacts },
  { promise: 11, find: findBackwardMoves },
  { promise: 12, find: findKeptMoney },
  { promise: 13, find: findTooMuchGivenBack },
]

export async function findBroken(world: World, stories: readonly Story[]): Promise<Broken[]> {
  const broken: Broken[] = []
  for (const { promise, find } of invariants) {
    for (const what of await find(world, stories)) broken.push({ promise, what })
  }
  return broken
}

/** Charges that our books do not have as succeeded, and what they have without a charge. */
export async function findUnpaidHere({ nodes, sandbox }: World): Promise<Broken[]> {
  const charged = Object.entries(sandbox.audit().chargesByOrder).flatMap(([orderId, charges]) =>
    charges.map(({ paymentIntent, amount }) => `${orderId} ${paymentIntent} ${amount}`),
  )
  const rows = await nodes[0].sql(`
    select order_id || ' ' || coalesce(intent_ref, provider_ref) || ' ' || amount as paid
    from payments where provider = 'stripe' and status = 'succeeded'`)
  const booked = rows.map(({ paid }) => String(paid))
  return [
    ...without(charged, booked).map((what) => `paid at the provider only: ${what}`),
    ...without(booked, charged).map((what) => `paid here only: ${what}`),
  ].map((what) => ({ promise: 10, what }))
}

function without(all: readonly string[], known: readonly string[]): string[] {
  const there = new Set(known)
  return all.filter((one) => !there.has(one))
}

function findStrangeKeys({ sandbox }: World): string[] {
  const { postsWithoutKey, randomKeys } = sandbox.audit()
  return [...postsWithoutKey, ...randomKeys].map(
    ({ kind, operation, key }) => `${kind}: ${operation} with ${key}`,
  )
}

function findDoubles({ sandbox }: World): string[] {
  const { doubleCharges, doubleRefunds } = sandbox.audit()
  return [...doubleCharges, ...doubleRefunds].map((one) => `twice: ${JSON.stringify(one)}`)
}

/** Whoever meant to pay, and insisted, has paid. */
async function findUnpaid({ nodes, told }: World, stories: readonly Story[]): Promise<string[]> {
  const payers = stories.filter(meansToPay)
  const ids = payers.flatMap(({ nth }) => told.orders.get(nth)?.orderId ?? [])
  const rows = await nodes[0].sql(
    `select id, status, payment_status,
       (select json_agg(payments) from payments where order_id = orders.id) as payments
     from orders where id = any($1) and confirmed_at is null`,
    [ids],
  )
  return rows.map((row) => `its payer insisted, but it is not paid: ${JSON.stringify(row)}`)
}

/** What a client was told with a 2xx stands as it was told. */
async function findForgotten({ nodes, told }: World): Promise<string[]> {
  const forgotten: string[] = []
  const orders = await nodes[0].sql('select id, total, status, confirmed_at, version from orders')
  const byId = new Map(orders.map((row) => [row['id'], row]))
  for (const { orderId, total, isConfirmed, version } of told.orders.values()) {
    const row = byId.get(orderId)
    const stands =
      row !== undefined &&
      Number(row['total']) === total &&
      Number(row['version']) >= version &&
      (!isConfirmed || row['confirmed_at'] !== null)
    if (!stands) forgotten.push(`order ${orderId}: ${JSON.stringify(row)}`)
  }
  for (const { orderId } of told.cancellations) {
    if (byId.get(orderId)?.['status'] !== 'cancelled') forgotten.push(`cancellation of ${orderId}`)
  }
  for (const [table, facts] of [
    ['refunds', told.refunds],
    ['payments', told.cash],
  ] as const) {
    const rows = await nodes[0].sql(`select id, amount::int from ${table}`)
    const amounts = new Map(rows.map(({ id, amount }) => [id, amount]))
    for (const { id, amount } of facts) {
      if (amounts.get(id) !== amount) forgotten.push(`${table}: ${id} of ${amount}`)
    }
  }
  return forgotten
}

async function findBookFaults({ nodes }: World): Promise<string[]> {
  return await booksAgree(nodes[0]).then(
    () => [],
    (error: unknown) => [String(error)],
  )
}

/** The comparison of each night, which knows nothing of these tests, agrees. */
async function findDifferences({ nodes }: World): Promise<string[]> {
  const runs = await nodes[0].sql('select status, partial, counts, output from reconciliations')
  const differences = await nodes[0].sql(
    'select * from reconciliation_differences where not healed',
  )
  const ended = runs.filter((run) => run['status'] === 'completed' && run['partial'] === false)
  return [
    ...(ended.length > 0 ? [] : [`no comparison came to its end: ${JSON.stringify(runs)}`]),
    ...differences.map((one) => `the books differ: ${JSON.stringify(one)}`),
  ]
}

/** Nothing is left in a queue, nor half done. */
async function findWaiting({ nodes }: World): Promise<string[]> {
  const rows = await nodes[0].sql(`
    select 'job ' || task_identifier || ': ' || coalesce(last_error, '') as thing
    from graphile_worker.jobs
    union all select 'event ' || event_id from event_delivery
    union all select 'webhook ' || id from provider_events where processed_at is null
    union all select 'call ' || step || ' of ' || id from payments where step is not null
    union all select 'refund ' || id || ' ' || status from refunds
      where status = 'pending'
    union all select 'error ' || kind || ' ' || place || ' ' || name from unexpected_errors
      where name not in ('ProviderError', 'AppError')`)
  return rows.map(({ thing }) => String(thing))
}

/** One mail of each kind to the payer for each fact; what was called off need not be told. */
async function findMailFaults({ nodes }: World): Promise<string[]> {
  const rows = await nodes[0].sql(`
    with facts as (
      select 'order_received' as template, root_id as about_id, root_id as order_id
      from events where type = 'order.placed'
      union all select 'payment_confirmed', root_id, root_id
      from events where type = 'payment.succeeded'
      union all select 'refund', root_id, root_id
      from events where type = 'refund.updated' and data ->> 'status' = 'succeeded'
      union all select 'case_opened', c.id, c.order_id
      from events e join cases c on c.id = e.root_id
      where e.type = 'case.opened' and c.origin = 'order'),
    wanted as (
      select template, about_id, order_id, count(*) as facts from facts group by 1, 2, 3),
    mails as (
      select template, about_id, count(*) as mails, count(distinct recipient_email) as readers,
        min(recipient_email) as recipient_email
      from notifications where template in (select template from facts) group by 1, 2)
    select template, w.about_id, facts, mails, o.status
    from wanted w join orders o on o.id = w.order_id
      left join mails m using (template, about_id)
    where coalesce(mails, 0) > facts
      or readers > 1
      or recipient_email <> o.customer_email
      or (coalesce(mails, 0) < facts and (o.status <> 'cancelled' or template = 'refund'))
    union all
    select template, about_id, null, mails, null from mails m
    where not exists (select 1 from wanted w
      where w.template = m.template and w.about_id = m.about_id)`)
  return rows.map((row) => `mails: ${JSON.stringify(row)}`)
}

/** Facts that can happen once to an order or to one of its payments. */
async function findRepeatedFacts({ nodes }: World): Promise<string[]> {
  const rows = await nodes[0].sql(`
    select root_id, type, data ->> 'paymentId' as payment, count(*)::int as times from events
    where type in ('order.placed', 'order.confirmed', 'order.cancelled', 'payment.started',
      'payment.succeeded', 'payment.canceled')
    group by 1, 2, 3 having count(*) > 1`)
  return rows.map((row) => `more than once: ${JSON.stringify(row)}`)
}

/** Where each may go; what is final goes nowhere. */
const orderMoves: Readonly<Record<string, readonly string[]>> = {
  none: ['pending'],
  pending: ['confirmed', 'cancelled'],
  confirmed: ['in_progress', 'on_hold', 'cancelled'],
  in_progress: ['completed', 'on_hold', 'cancelled'],
  on_hold: ['confirmed', 'in_progress', 'cancelled'],
}
const open = ['action_required', 'processing', 'failed', 'succeeded', 'canceled']
const paymentMoves: Readonly<Record<string, readonly string[]>> = {
  // What is taken by hand was never begun.
  none: ['started', 'succeeded'],
  started: open,
  action_required: open,
  processing: open,
  failed: open,
}
const refundMoves: Readonly<Record<string, readonly string[]>> = {
  // What is made at the provider was not asked for here.
  none: ['pending', 'succeeded', 'requires_action', 'failed'],
  pending: ['succeeded', 'requires_action', 'failed', 'canceled'],
  requires_action: ['succeeded', 'failed', 'canceled'],
  // The bank may send it back.
  succeeded: ['failed', 'canceled'],
}
const machines = { order: orderMoves, payment: paymentMoves, refund: refundMoves }

interface Move {
  readonly machine: keyof typeof machines
  readonly id: string
  readonly to: string
}

/** The histories, walked event by event along the machines. */
async function findBackwardMoves({ nodes }: World): Promise<string[]> {
  const rows = await nodes[0].sql(`
    select root_id, type, data from events where root_id in (select id from orders)
    order by root_id, root_version`)
  const states = new Map<string, string>()
  const backward: string[] = []
  for (const row of rows) {
    const move = moveOf(String(row['root_id']), String(row['type']), row['data'] as EventData)
    if (!move) continue
    const from = states.get(move.id) ?? 'none'
    const isForward = machines[move.machine][from]?.includes(move.to) === true
    if (!isForward) backward.push(`${move.machine} ${move.id}: ${from} → ${move.to}`)
    states.set(move.id, move.to)
  }
  return backward
}

interface EventData {
  readonly to?: string
  readonly status?: string
  readonly paymentId?: string
  readonly refundId?: string
}

function moveOf(orderId: string, type: string, data: EventData): Move | undefined {
  const [subject = '', verb = ''] = type.split('.')
  if (subject === 'order') {
    const states: Readonly<Record<string, string | undefined>> = {
      placed: 'pending',
      confirmed: 'confirmed',
      status_changed: data.to,
      cancelled: 'cancelled',
    }
    const to = states[verb]
    return to === undefined ? undefined : { machine: 'order', id: orderId, to }
  }
  const isMove = verb === 'started' || open.includes(verb)
  if (subject === 'payment' && isMove) {
    return { machine: 'payment', id: data.paymentId ?? '', to: verb }
  }
  if (subject !== 'refund') return undefined
  return { machine: 'refund', id: data.refundId ?? '', to: data.status ?? '' }
}

/** What the provider still has of a cancelled order's money is in dispute, or was flagged. */
async function findKeptMoney({ nodes, sandbox }: World): Promise<string[]> {
  const rows = await nodes[0].sql(`
    select id, flagged, payment_status from orders where status = 'cancelled'`)
  const { chargesByOrder } = sandbox.audit()
  return rows.flatMap(({ id, flagged, payment_status: paymentStatus }) => {
    const kept = (chargesByOrder[String(id)] ?? []).reduce(
      (sum, { amount, amountRefunded }) => sum + amount - amountRefunded,
      0,
    )
    if (kept === 0 || flagged === true || paymentStatus === 'disputed') return []
    return [`${String(id)} is cancelled, and ${kept} of it was kept`]
  })
}

async function findTooMuchGivenBack({ nodes, sandbox }: World): Promise<string[]> {
  const charges = Object.values(sandbox.audit().chargesByOrder).flat()
  const rows = await nodes[0].sql(`
    select p.id, p.amount, sum(r.amount)::int as given_back
    from payments p join refunds r on r.order_id = p.order_id and r.payment_id = p.id
    where r.status not in ('failed', 'canceled')
    group by p.order_id, p.id having sum(r.amount) > p.amount or p.status <> 'succeeded'`)
  return [...charges.filter(({ amount, amountRefunded }) => amountRefunded > amount), ...rows].map(
    (one) => `more went back than came: ${JSON.stringify(one)}`,
  )
}
