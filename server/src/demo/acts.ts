import { assert, present } from '../kernel/assert.ts'
import { isId, newId, type Id } from '../kernel/id.ts'
import { money, type Money } from '../kernel/money.ts'
import { toInstant } from '../kernel/time.ts'
import { recordPayment, requestRefund } from '../modules/checkout/index.ts'
import {
  addNote,
  changeCaseStatus,
  findCaseOfOrder,
  openCase,
  resolveCase,
  updateCase,
} from '../modules/crm/index.ts'
import { reviewDocument, storeDocument } from '../modules/documents/index.ts'
import { houseOf, queueMail, type MailDraft } from '../modules/notifications/index.ts'
import { changeStatus, placeOrderFor, type Order } from '../modules/orders/index.ts'
import type { Actor, AppContext } from '../platform/context.ts'
import type { Paper } from './papers.ts'
import { scene, type Colleague, type Customer, type DemoCustomer, type People } from './people.ts'

/** What several acts tell together: of one order with its case, or of one question. */
export interface Plot {
  /** Whose order or question it is; absent where nobody knows them yet. */
  readonly customer?: Customer
  readonly acts: readonly Act[]
}

/** Something that somebody did. Days count back from the start that seeds. */
export interface Act {
  readonly daysAgo: number
  perform(stage: Stage): Promise<void>
}

/** What the acts of one plot have in common, and what came of those before. */
export interface Stage {
  readonly ctx: AppContext
  readonly people: People
  /** Ids by slugs. */
  readonly services: ReadonlyMap<string, Id<'svc'>>
  readonly customer: Customer | undefined
  order: Order | undefined
  /** Id or number. */
  caseKey: string | undefined
  /** Keys of the documents by their filenames. */
  readonly papers: Map<string, string>
}

/** Those who act: a colleague, or whose plot it is. */
export type Performer = Colleague | 'customer'

export interface OrderedItem {
  readonly slug: string
  readonly quantity?: number
  readonly level?: 'standard' | 'plus'
  readonly answers?: Readonly<Record<string, string>>
}

/** Customers with a login order for themselves; for others the manager does. */
export function orders(daysAgo: number, items: readonly OrderedItem[], note?: string): Act {
  return act(daysAgo, async (stage) => {
    const { actor, customerId } = customerOf(stage)
    const orderer = actor ?? stage.people.staff('manager')
    stage.order = await placeOrderFor(scene(stage.ctx, daysAgo, orderer), {
      items: items.map((item) => toOrderItem(stage, item)),
      ...(actor ? {} : { customerId }),
      ...(note === undefined ? {} : { note }),
    })
  })
}

/** A bank transfer, written down by whoever keeps the books: of the whole, or half as a deposit. */
export function pays(daysAgo: number, share: 'all' | 'half' = 'all'): Act {
  return act(daysAgo, async (stage) => {
    const { id, number, total } = orderOf(stage)
    const amount = share === 'all' ? total.amount : Math.round(total.amount / 2)
    const ctx = sceneOf(stage, daysAgo, 'finance')
    await recordPayment(ctx, id, {
      amount: { ...total, amount },
      reference: `Bank transfer for ${number}`,
    })
    stage.caseKey = (await findCaseOfOrder(ctx, id))?.id
  })
}

/** In minor units. */
export function refunds(daysAgo: number, amount: number, reason: string): Act {
  return act(daysAgo, async (stage) => {
    const { id, total } = orderOf(stage)
    const refund = { amount: { ...total, amount }, reason }
    await requestRefund(sceneOf(stage, daysAgo, 'finance'), id, refund)
  })
}

/** The manager moves the order on. */
export function moves(daysAgo: number, to: Parameters<typeof changeStatus>[2]): Act {
  return act(daysAgo, async (stage) => {
    await changeStatus(sceneOf(stage, daysAgo, 'manager'), orderOf(stage).id, to)
  })
}

export interface Question {
  readonly subject: string
  readonly description: string
}

export function asks(daysAgo: number, question: Question): Act {
  return act(daysAgo, async (stage) => {
    const opened = await openCase(sceneOf(stage, daysAgo, 'customer'), question)
    stage.caseKey = 'id' in opened ? opened.id : opened.number
  })
}

export interface Contact {
  readonly name: string
  readonly email: string
  readonly phone?: string
}

/** A stranger, on the public form. */
export function writesIn(daysAgo: number, contact: Contact, question: Question): Act {
  return act(daysAgo, async (stage) => {
    const ctx = scene(stage.ctx, daysAgo, { kind: 'anonymous' })
    stage.caseKey = (await openCase(ctx, { ...question, contact })).number
  })
}

/** A stranger who called, as a colleague wrote it down. */
export function calls(daysAgo: number, contact: Contact, question: Question): Act {
  return act(daysAgo, async (stage) => {
    const ctx = sceneOf(stage, daysAgo, 'agent')
    const opened = await openCase(ctx, { ...question, contact, kind: 'lead', tags: ['phone'] })
    stage.caseKey = opened.number
  })
}

export interface Marks {
  readonly priority?: 'low' | 'normal' | 'high' | 'urgent'
  readonly tags?: readonly string[]
  /** Below zero in days to come. */
  readonly dueDaysAgo?: number
}

/** A colleague makes the case theirs. */
export function takes(daysAgo: number, who: Colleague, marks: Marks = {}): Act {
  return act(daysAgo, async (stage) => {
    const { priority, tags, dueDaysAgo } = marks
    const patch = {
      assigneeId: stage.people.staff(who).userId,
      ...(priority ? { priority } : {}),
      ...(tags ? { tags: [...tags] } : {}),
      ...(dueDaysAgo === undefined ? {} : { dueAt: toInstant(scene(stage.ctx, dueDaysAgo).now) }),
    }
    await updateCase(sceneOf(stage, daysAgo, who), caseOf(stage), patch, null)
  })
}

/** A stranger turns out to be a customer. */
export function recognises(daysAgo: number, who: Colleague, name: Customer): Act {
  return act(daysAgo, async (stage) => {
    const { customerId } = stage.people.customer(name)
    await updateCase(sceneOf(stage, daysAgo, who), caseOf(stage), { customerId }, null)
  })
}

/** Bureau itself closes what was resolved long enough ago. */
export function turns(
  daysAgo: number,
  who: Colleague | 'bureau',
  status: 'open' | 'waiting_customer' | 'waiting_third_party' | 'closed',
): Act {
  return act(daysAgo, async (stage) => {
    const actor: Actor =
      who === 'bureau' ? { kind: 'system', task: 'demo' } : stage.people.staff(who)
    await changeCaseStatus(scene(stage.ctx, daysAgo, actor), caseOf(stage), { status }, null)
  })
}

export function resolves(
  daysAgo: number,
  who: Colleague,
  resolution: Parameters<typeof resolveCase>[2],
): Act {
  return act(daysAgo, async (stage) => {
    await resolveCase(sceneOf(stage, daysAgo, who), caseOf(stage), resolution)
  })
}

/** For the customer to read; with filenames of what was sent before. */
export function writes(
  daysAgo: number,
  who: Performer,
  body: string,
  ...filenames: readonly string[]
): Act {
  return act(daysAgo, (stage) => note(stage, daysAgo, who, { body, filenames, to: 'public' }))
}

/** For colleagues alone. */
export function remarks(
  daysAgo: number,
  who: Colleague,
  body: string,
  ...filenames: readonly string[]
): Act {
  return act(daysAgo, (stage) => note(stage, daysAgo, who, { body, filenames, to: 'internal' }))
}

export interface Sending {
  /** What it is put to; the order when absent. */
  readonly to?: 'order' | 'case' | 'nothing'
  readonly label?: string
  /** Kept from the customer. */
  readonly isInternal?: boolean
}

export function sends(
  daysAgo: number,
  who: Performer,
  paper: Paper,
  { to = 'order', label, isInternal = false }: Sending = {},
): Act {
  return act(daysAgo, async (stage) => {
    const ctx = sceneOf(stage, daysAgo, who)
    const { key } = await storeDocument(ctx, {
      ...paper,
      ...(to === 'order' ? { orderId: orderOf(stage).id } : {}),
      ...(to === 'case' ? { caseId: caseIdOf(stage) } : {}),
      ...(label === undefined ? {} : { label }),
      visibility: isInternal ? 'internal' : 'customer',
    })
    stage.papers.set(paper.filename, key)
  })
}

export function accepts(daysAgo: number, who: Colleague, filename: string): Act {
  return act(daysAgo, async (stage) => {
    const input = { status: 'accepted' } as const
    const ctx = sceneOf(stage, daysAgo, who)
    await reviewDocument(ctx, paperOf(stage, filename), { input, ifMatch: null })
  })
}

export function rejects(daysAgo: number, who: Colleague, filename: string, reason: string): Act {
  return act(daysAgo, async (stage) => {
    const input = { status: 'rejected', reason } as const
    const ctx = sceneOf(stage, daysAgo, who)
    await reviewDocument(ctx, paperOf(stage, filename), { input, ifMatch: null })
  })
}

/** A mail that follows from no other act, as if it had been sent. */
export function mails(daysAgo: number, draft: (stage: Stage) => MailDraft): Act {
  return act(daysAgo, async (stage) => {
    const ctx = scene(stage.ctx, daysAgo)
    const id = newId('mail', ctx.now)
    await queueMail(ctx, houseOf(ctx), { draft: draft(stage), id, at: ctx.now, isTold: true })
  })
}

/** For what one plot alone tells. */
export function act(daysAgo: number, perform: Act['perform']): Act {
  return { daysAgo, perform }
}

export function orderOf({ order }: Stage): Order {
  return present(order, 'the order of the plot')
}

export function outstandingOf(stage: Stage): Money {
  const { total, paid } = orderOf(stage)
  return money(total.amount - paid.amount, total.currency)
}

export function customerOf({ people, customer }: Stage): DemoCustomer {
  return people.customer(present(customer, 'the customer of the plot'))
}

/** The same context on that day; customers without a login hold the token of their order. */
export function sceneOf(stage: Stage, daysAgo: number, who: Performer): AppContext {
  if (who !== 'customer') return scene(stage.ctx, daysAgo, stage.people.staff(who))
  const { actor, customerId } = customerOf(stage)
  if (actor) return scene(stage.ctx, daysAgo, actor)
  return scene(stage.ctx, daysAgo, { kind: 'order', orderId: orderOf(stage).id, customerId })
}

interface Words {
  readonly body: string
  readonly to: 'public' | 'internal'
  readonly filenames: readonly string[]
}

async function note(
  stage: Stage,
  daysAgo: number,
  who: Performer,
  { body, to, filenames }: Words,
): Promise<void> {
  const documentKeys = filenames.map((filename) => paperOf(stage, filename))
  await addNote(sceneOf(stage, daysAgo, who), caseOf(stage), { body, visibility: to, documentKeys })
}

function caseOf({ caseKey }: Stage): string {
  return present(caseKey, 'the case of the plot')
}

function caseIdOf(stage: Stage): Id<'case'> {
  const key = caseOf(stage)
  assert(isId('case', key), 'documents go to the case of an order or of a customer')
  return key
}

function paperOf({ papers }: Stage, filename: string): string {
  return present(papers.get(filename), `the document ${filename}`)
}

function toOrderItem(
  { services }: Stage,
  { slug, quantity = 1, level, answers = {} }: OrderedItem,
) {
  const serviceId = present(services.get(slug), `the service ${slug}`)
  const options: Record<string, string> = level ? { package: level } : {}
  return { serviceId, quantity, options, answers: { ...answers } }
}
