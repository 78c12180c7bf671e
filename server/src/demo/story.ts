import type { Id } from '../kernel/id.ts'
import { dayMs, later } from '../kernel/time.ts'
import { recordPayment } from '../modules/checkout/index.ts'
import {
  addNote,
  changeCaseStatus,
  findCaseOfOrder,
  openCase,
  resolveCase,
  updateCase,
} from '../modules/crm/index.ts'
import { changeStatus, placeOrderFor, type Order } from '../modules/orders/index.ts'
import type { Actor, AppContext } from '../platform/context.ts'
import { demoOrders, type CaseWork, type OrderedItem, type OrderStory } from './orders.ts'
import type { People } from './people.ts'

export interface Cast {
  /** By their slugs. */
  readonly services: ReadonlyMap<string, Id<'svc'>>
  readonly people: People
}

/** What happened in the demo business up to today, told by those who did it. */
export async function tellStory(ctx: AppContext, cast: Cast): Promise<void> {
  for (const story of demoOrders) await tellOrder(ctx, cast, story)
  await tellEnquiry(ctx, cast)
  await tellLeads(ctx, cast)
}

/** The same context on another day, with somebody else acting. */
function scene(ctx: AppContext, daysAgo: number, actor: Actor): AppContext {
  return { ...ctx, now: later(ctx.now, -daysAgo * dayMs), actor }
}

const hourOfDay = 1 / 24

async function tellOrder(ctx: AppContext, cast: Cast, story: OrderStory): Promise<void> {
  const { people } = cast
  const { daysAgo, steps, work } = story
  const { id, number, total } = await order(ctx, cast, story)
  if (story.pays !== 'nothing') {
    const paysAt = scene(ctx, daysAgo - 3 * hourOfDay, people.staff('finance'))
    const amount = story.pays === 'all' ? total.amount : Math.round(total.amount / 2)
    const reference = `Bank transfer for ${number}`
    await recordPayment(paysAt, id, { amount: { ...total, amount }, reference })
  }
  for (const { daysAgo, ...change } of steps) {
    await changeStatus(scene(ctx, daysAgo, people.staff('manager')), id, change)
  }
  if (work) await workOn(ctx, cast, { orderId: id, work })
}

/** Customers with a login order for themselves; for others the manager does. */
async function order(
  ctx: AppContext,
  { services, people }: Cast,
  { customer, daysAgo, items, note }: OrderStory,
): Promise<Order> {
  const { actor, customerId } = people.customer(customer)
  return await placeOrderFor(scene(ctx, daysAgo, actor ?? people.staff('manager')), {
    items: items.map((item) => toOrderItem(services, item)),
    ...(actor ? {} : { customerId }),
    ...(note === undefined ? {} : { note }),
  })
}

function toOrderItem(
  services: Cast['services'],
  { slug, quantity = 1, level, answers = {} }: OrderedItem,
) {
  const serviceId = services.get(slug)
  if (!serviceId) throw new Error(`the demo sells no ${slug}`)
  const options: Record<string, string> = level ? { package: level } : {}
  return { serviceId, quantity, options, answers: { ...answers } }
}

async function workOn(
  ctx: AppContext,
  { people }: Cast,
  { orderId, work }: { orderId: Id<'ord'>; work: CaseWork },
): Promise<void> {
  const found = await findCaseOfOrder(ctx, orderId)
  if (!found) throw new Error(`the order ${orderId} has no case`)
  const agent = people.staff('agent')
  const begins = scene(ctx, work.daysAgo, agent)
  const { priority = 'normal', tags = [] } = work
  const { id } = found
  await updateCase(begins, id, { assigneeId: agent.userId, priority, tags: [...tags] }, null)
  if (work.status) await changeCaseStatus(begins, id, { status: work.status }, null)
  for (const [index, note] of work.notes.entries()) {
    const writesAt = scene(ctx, work.daysAgo - (index + 1) * hourOfDay, agent)
    await addNote(writesAt, id, note)
  }
  if (work.resolution === undefined) return
  const endsAt = scene(ctx, work.daysAgo - 1, agent)
  await resolveCase(endsAt, id, { outcome: 'completed', summary: work.resolution })
}

/** A customer asks, and is answered. */
async function tellEnquiry(ctx: AppContext, { people }: Cast): Promise<void> {
  const { actor = people.staff('agent') } = people.customer('amelia')
  const asked = await openCase(scene(ctx, 3, actor), {
    subject: 'Moving our registered office',
    description: 'Can the registered office be moved to our own address next spring?',
  })
  const agent = people.staff('agent')
  await changeCaseStatus(scene(ctx, 2.9, agent), asked.number, { status: 'open' }, null)
  await addNote(scene(ctx, 2.8, agent), asked.number, {
    body: 'Yes, at any time: we file the change for you within a day.',
    visibility: 'public',
  })
  await resolveCase(scene(ctx, 2.7, agent), asked.number, {
    outcome: 'completed',
    summary: 'The office can be moved at any time; she will tell us when.',
  })
}

/** Two people who are no customers yet: one wrote, one called. */
async function tellLeads(ctx: AppContext, { people }: Cast): Promise<void> {
  await openCase(scene(ctx, 1.5, { kind: 'anonymous' }), {
    subject: 'Opening a branch in the UK',
    description: 'We are a bakery in Lyon and think of a branch in Leeds. Where do we begin?',
    contact: { name: 'Camille Laurent', email: 'camille.laurent@example.com' },
  })
  const agent = people.staff('agent')
  const called = await openCase(scene(ctx, 0.5, agent), {
    kind: 'lead',
    subject: 'Accounts for two companies',
    description: 'Asked by phone what the accounts of two small companies would cost.',
    contact: { name: 'Oliver Grant', email: 'oliver.grant@example.com', phone: '0117 496 0245' },
    priority: 'high',
    tags: ['phone'],
    assigneeId: agent.userId,
  })
  await addNote(scene(ctx, 0.4, agent), called.number, {
    body: 'Calls back on Friday; an offer with a discount would win him.',
    visibility: 'internal',
  })
}
