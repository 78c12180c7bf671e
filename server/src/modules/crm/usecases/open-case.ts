import { present } from '../../../kernel/assert.ts'
import { invalidInputAt, notFound } from '../../../kernel/errors.ts'
import { newId, type Id } from '../../../kernel/id.ts'
import { inTx, spend, type AppContext, type TxContext } from '../../../platform/context.ts'
import { emit } from '../../../platform/outbox.ts'
import { getCustomer } from '../../identity/index.ts'
import { getOrderForCase, linkCase, requireOwnOrder } from '../../orders/index.ts'
import { CaseOpened } from '../events.ts'
import { checkOpening, kindOf, originOf, readDueAt, subjectOfOrder, type Opener } from '../rules.ts'
import type { OpenCaseInput, OpenedCase } from '../schema.ts'
import { findCaseNumber, insertCase, type NewCase } from '../sql/cases.ts'
import { openerOf } from './actors.ts'
import { lockOwner, requireAssignable, requireCustomer } from './people.ts'
import { getCase } from './read-cases.ts'

/**
 * Opens a case from the public form, for a customer, for the holder of an order's token or by
 * staff. The public learns its number alone. Throws 400 for members that are not the actor's to
 * set, 403 for staff who may not write, 404 for an order of somebody else's, 429 when the form's
 * limits are used up.
 */
export async function openCase(ctx: AppContext, input: OpenCaseInput): Promise<OpenedCase> {
  const opener = openerOf(ctx.actor)
  checkOpening(opener, input)
  if (opener === 'public') await spendContact(ctx)
  const draft = await draftCase(ctx, opener, input)
  const number = await inTx(ctx, async (ctx) => await writeCase(ctx, draft))
  return opener === 'public' ? { number } : await getCase(ctx, draft.id)
}

/** The reply of `openCase` to a request that comes again. */
export async function getOpenedCase(ctx: AppContext, id: string): Promise<OpenedCase> {
  if (ctx.actor.kind !== 'anonymous') return await getCase(ctx, id)
  const number = await findCaseNumber(ctx.db, id as Id<'case'>)
  if (number === undefined) throw notFound()
  return { number }
}

/**
 * Opens the one case of an order in the transaction of its confirmation, which holds the order's
 * row: that lock, and the look at what the order keeps, make it exactly one however often it is
 * called.
 */
export async function openOrderCase(ctx: TxContext, orderId: Id<'ord'>): Promise<void> {
  const order = await getOrderForCase(ctx, orderId)
  if (order.caseId !== null) return
  const { turnaroundDays } = order
  const id = newId('case', ctx.now)
  const number = await writeCase(ctx, {
    id,
    kind: 'case',
    origin: 'order',
    subject: subjectOfOrder(order.number, order.lineNames),
    description: order.lineNames.join('\n'),
    priority: 'normal',
    contact: { ...order.customer, phone: null },
    customerId: order.customerId,
    orderId,
    assigneeId: null,
    tags: [],
    due:
      turnaroundDays === null ? null : { inDays: turnaroundDays, timeZone: ctx.business.timeZone },
    at: ctx.now,
  })
  await linkCase(ctx, orderId, { caseId: id, caseNumber: number, caseStatus: 'new' })
}

/** By address first, so that one address cannot use up what is there for all. */
async function spendContact(ctx: AppContext): Promise<void> {
  await spend(ctx, 'contactByAddress', ctx.origin.address ?? 'unknown')
  await spend(ctx, 'contactInAll', 'all')
}

async function writeCase(ctx: TxContext, draft: NewCase): Promise<string> {
  const customerId = draft.customerId && (await lockOwner(ctx, draft.customerId))
  const { number } = await insertCase(ctx.db, { ...draft, customerId })
  const { id, origin, kind, orderId } = draft
  const data = { origin, kind, orderId, customerId }
  await emit(ctx, CaseOpened({ rootId: id, rootVersion: 1, data }))
  return number
}

async function draftCase(ctx: AppContext, opener: Opener, input: OpenCaseInput): Promise<NewCase> {
  const asker = await findAsker(ctx, input)
  if (input.assigneeId !== undefined) await requireAssignable(ctx, input.assigneeId)
  return {
    id: newId('case', ctx.now),
    kind: kindOf(input, asker.customerId),
    origin: originOf(opener),
    subject: input.subject,
    description: input.description,
    priority: input.priority ?? 'normal',
    contact: asker.contact,
    customerId: asker.customerId,
    orderId: asker.orderId,
    assigneeId: input.assigneeId ?? null,
    tags: input.tags ?? [],
    due: input.dueAt === undefined ? null : readDueAt(input.dueAt),
    at: ctx.now,
  }
}

type Asker = Pick<NewCase, 'contact' | 'customerId' | 'orderId'>

/** Who asks and about which order: by what they sent, or by what is known of them. */
async function findAsker(ctx: AppContext, input: OpenCaseInput): Promise<Asker> {
  const given = input.contact && { ...input.contact, phone: input.contact.phone ?? null }
  const orderId = input.orderId ?? (ctx.actor.kind === 'order' ? ctx.actor.orderId : undefined)
  if (orderId !== undefined) return await findAskerOfOrder(ctx, orderId, { input, given })
  if (ctx.actor.kind === 'customer') {
    const { customerId } = ctx.actor
    const contact = given ?? toContact(await getCustomer(ctx, customerId))
    return { contact, customerId, orderId: null }
  }
  if (input.customerId === undefined) {
    return { contact: present(given, 'a contact'), customerId: null, orderId: null }
  }
  const customer = await requireCustomer(ctx, input.customerId)
  return { contact: given ?? toContact(customer), customerId: customer.id, orderId: null }
}

async function findAskerOfOrder(
  ctx: AppContext,
  orderId: Id<'ord'>,
  { input, given }: { input: OpenCaseInput; given: NewCase['contact'] | undefined },
): Promise<Asker> {
  await requireOwnOrder(ctx, orderId)
  const { customer, customerId } = await getOrderForCase(ctx, orderId)
  if (input.customerId !== undefined && input.customerId !== customerId) {
    throw invalidInputAt({
      pointer: '/customerId',
      code: 'conflict',
      message: 'must be the customer of the order',
    })
  }
  return { contact: given ?? { ...customer, phone: null }, customerId, orderId }
}

function toContact(customer: { name: string; email: string; phone: string | null }) {
  return { name: customer.name, email: customer.email, phone: customer.phone }
}
