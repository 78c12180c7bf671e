import type { Reply } from '../../support/app.ts'
import { price } from '../../journeys/shop.ts'
import { meansToPay, type Story, type Try } from './stories.ts'
import { credentialsOf, insist, type ToldOrder, type World } from './world.ts'

/** One story from the first click on, with all that the others do to its order meanwhile. */
export async function live(world: World, story: Story): Promise<void> {
  const order = await begin(world, story)
  if (!order) return
  const steps = stepsOf(world, story, order)
  const { act, atStep } = story.office
  const meddlesAt = Math.min(atStep, steps.length - 1)
  for (const [nth, step] of steps.entries()) {
    const meddling = nth === meddlesAt ? officeActs[act](world, story, order) : undefined
    await Promise.all([step(), meddling])
    await look(world, order)
  }
  providerActs[story.provider](world, order)
}

/** The payer comes back on a quiet day, and pays what is not paid yet. */
export async function comeBack(world: World, story: Story, visit: number): Promise<void> {
  const order = world.told.orders.get(story.nth) ?? (await begin(world, story))
  if (!order) return void world.told.complaints.push(`story ${story.nth} never got its order`)
  if (!meansToPay(story)) return
  const { status } = await look(world, order)
  if (status !== 'pending') return
  await insist(world, 'POST /api/checkout/process', {
    ...(await credentialsOf(world, order)),
    headers: { 'idempotency-key': keyOf(story, `come back ${visit}`) },
    body: { orderId: order.orderId, paymentMethod: 'pm_card_visa' },
  })
  await confirm(world, order)
}

/** The first click: the same request, as often as it takes, makes one order. */
async function begin(world: World, story: Story): Promise<ToldOrder | undefined> {
  const [first] = story.tries
  const { customer } = story
  const token = customer && (await world.nodes[0].asCustomer(customer)).token
  const request = {
    ...(token === undefined ? {} : { token }),
    headers: { 'idempotency-key': keyOf(story, 'begin') },
    body: {
      items: [{ serviceId: world.shop.serviceId, quantity: 1 }],
      ...(token === undefined ? { customer: { email: emailOf(story), name: 'Grace' } } : {}),
      mode: first?.by === 'page' ? 'hosted' : 'intent',
      ...(first?.by === 'server' ? { paymentMethod: first.card.method } : {}),
    },
  }
  const send = () => insist(world, 'POST /api/checkout/process', request)
  const replies = story.clicks === 'once' ? [await send()] : await Promise.all([send(), send()])
  const made = replies.filter(({ status }) => status === 201)
  const ids = new Set(made.map(({ body }) => body.order.id))
  if (ids.size > 1) world.told.complaints.push(`one key made the orders ${[...ids].join(', ')}`)
  const [reply] = made
  if (!reply) return undefined
  const { order, orderToken } = reply.body
  const told: ToldOrder = {
    orderId: order.id,
    payer: customer === undefined ? { orderToken } : { customer },
    total: order.total.amount,
    isConfirmed: false,
    version: 0,
  }
  world.told.orders.set(story.nth, told)
  for (const one of made) hear(world, told, one.body.order)
  return told
}

type Step = () => Promise<void>

function stepsOf(world: World, story: Story, order: ToldOrder): Step[] {
  const tries = story.tries.flatMap((one, nth): Step[] => [
    // The first click of a payment by the server has tried its card already.
    ...(nth === 0 && one.by === 'server' ? [] : [() => pay(world, { story, order, one, nth })]),
    ...(one.card.wants === 'nothing' ? [] : [() => bankDecides(world, order, one)]),
  ])
  const confirms = (): Promise<void> => confirmAtOnce(world, order, story.confirms)
  return [...tries, confirms]
}

interface Attempt {
  readonly story: Story
  readonly order: ToldOrder
  readonly one: Try
  readonly nth: number
}

async function pay(world: World, attempt: Attempt): Promise<void> {
  const { story, order, one, nth } = attempt
  const body = {
    orderId: order.orderId,
    mode: one.by === 'page' ? 'hosted' : 'intent',
    ...(one.by === 'server' ? { paymentMethod: one.card.method } : {}),
  }
  const payer = await credentialsOf(world, order)
  const click = (key: string): Promise<Reply> =>
    insist(world, 'POST /api/checkout/process', {
      ...payer,
      headers: { 'idempotency-key': key },
      body,
    })
  const key = keyOf(story, `pay ${nth}`)
  const keys = {
    once: [key],
    'twice with one key': [key, key],
    'twice with two keys': [key, `${key}-b`],
  }
  const replies = await Promise.all(keys[story.clicks].map(click))
  const made = replies.find(({ status }) => status === 201)
  if (!made) return
  hear(world, order, made.body.order)
  const { payment } = made.body
  if (payment === null || one.by === 'server') return
  if (one.by === 'page') payOnPage(world, payment.providerRef, one)
  else await payInBrowser(world, payment, one)
}

function payOnPage({ sandbox }: World, sessionRef: string, { card }: Try): void {
  unlessRefused(() => sandbox.paySession(sessionRef, { paymentMethod: card.method }))
}

const browserTries = 4

/** The provider's own script repeats what had no answer; the page may be opened twice. */
async function payInBrowser(
  { sandbox }: World,
  payment: { clientSecret: string | null; providerRef: string },
  { card }: Try,
): Promise<void> {
  if (payment.clientSecret === null) return
  for (let nth = 1; nth <= browserTries; nth += 1) {
    const answer = await fetch(`${sandbox.url}/v1/payment_intents/${payment.providerRef}/confirm`, {
      method: 'POST',
      headers: {
        authorization: 'Bearer sk_test_bureau',
        'content-type': 'application/x-www-form-urlencoded',
        'idempotency-key': `${payment.providerRef}:browser-${card.method}:${nth}`,
      },
      body: new URLSearchParams({
        payment_method: card.method,
        return_url: 'https://shop.example/back',
      }),
    }).catch(() => undefined)
    if (answer && answer.status < 429) return
  }
}

/** The holder proves who they are, or the bank decides on a debit: now, or when all is over. */
async function bankDecides(
  world: World,
  { orderId }: ToldOrder,
  { card, isBankQuick }: Try,
): Promise<void> {
  if (card.wants === 'time' && !isBankQuick) return
  const [node] = world.nodes
  const rows = await node.sql('select intent_ref from payments where order_id = $1', [orderId])
  for (const { intent_ref: ref } of rows) {
    if (typeof ref !== 'string') continue
    unlessRefused(() =>
      card.wants === 'time'
        ? world.sandbox.settlePayment(ref)
        : world.sandbox.finishAuthentication(ref, 'complete'),
    )
  }
}

/** Every debit that still waits for its bank is decided on; answers how many. */
export async function banksDecide({ nodes, sandbox }: World): Promise<number> {
  const rows = await nodes[0].sql(
    `select intent_ref from payments where status = 'processing' and intent_ref is not null`,
  )
  for (const { intent_ref: ref } of rows) unlessRefused(() => sandbox.settlePayment(String(ref)))
  return rows.length
}

async function confirmAtOnce(world: World, order: ToldOrder, times: number): Promise<void> {
  await Promise.all(Array.from({ length: times }, () => confirm(world, order)))
}

async function confirm(world: World, order: ToldOrder): Promise<void> {
  const { status, body } = await insist(world, `POST /api/checkout/confirm/${order.orderId}`, {
    ...(await credentialsOf(world, order)),
  })
  if (status === 200) hear(world, order, body.order)
}

/** What the payer sees of the order; nobody else looks for them, so versions may only rise. */
async function look(world: World, order: ToldOrder): Promise<Reply['body']> {
  const payer = await credentialsOf(world, order)
  const { status, body } = await insist(world, `GET /api/orders/${order.orderId}`, payer)
  if (status !== 200 || body.version < order.version) {
    const was = `${order.orderId} was at version ${order.version}`
    world.told.complaints.push(`${was}, then ${status} ${JSON.stringify(body)}`)
  }
  order.version = body.version
  hear(world, order, body)
  return body
}

function hear({ told }: World, order: ToldOrder, seen: Reply['body']): void {
  if (seen.id !== order.orderId) told.complaints.push(`${order.orderId} was told ${seen.id}`)
  if (['confirmed', 'in_progress', 'on_hold', 'completed'].includes(seen.status)) {
    order.isConfirmed = true
  }
}

type Act = (world: World, story: Story, order: ToldOrder) => Promise<void>

const officeActs: Readonly<Record<Story['office']['act'], Act>> = {
  nothing: async () => undefined,
  cancels: async (world, story, { orderId }) => {
    const { status } = await insist(world, `PATCH /api/orders/${orderId}/status`, {
      token: await world.nodes[0].as('admin'),
      headers: { 'idempotency-key': keyOf(story, 'cancel') },
      body: { status: 'cancelled', refund: 'full' },
    })
    if (status === 200) world.told.cancellations.push({ orderId })
  },
  'refunds in parts': async (world, story, { orderId }) => {
    const amounts = [0.4, 0.4, 0.4, 0.2, 0.2].map((part) => price * part)
    await Promise.all(
      amounts.map(async (amount, nth) => {
        const { status, body } = await insist(world, `POST /api/orders/${orderId}/refunds`, {
          token: await world.nodes[0].as('finance'),
          headers: { 'idempotency-key': keyOf(story, `refund ${nth}`) },
          body: { amount: { amount, currency: 'GBP' }, reason: 'Asked for' },
        })
        if (status === 201) world.told.refunds.push({ orderId, id: body.id, amount })
      }),
    )
  },
  'takes cash': async (world, story, { orderId }) => {
    const amount = 5000
    const { status, body } = await insist(world, `POST /api/orders/${orderId}/payments`, {
      token: await world.nodes[0].as('finance'),
      headers: { 'idempotency-key': keyOf(story, 'cash') },
      body: { amount: { amount, currency: 'GBP' }, reference: 'In cash' },
    })
    if (status === 201) world.told.cash.push({ orderId, id: body.id, amount })
  },
  'works on it': async (world, _story, { orderId }) => {
    for (const status of ['in_progress', 'on_hold', 'in_progress']) {
      await insist(world, `PATCH /api/orders/${orderId}/status`, {
        token: await world.nodes[0].as('admin'),
        body: { status },
      })
    }
  },
}

const providerActs: Readonly<Record<Story['provider'], (world: World, order: ToldOrder) => void>> =
  {
    nothing: () => undefined,
    refunds: (world, order) => {
      for (const ref of intentsOf(world, order)) {
        unlessRefused(() => world.sandbox.refund({ paymentIntent: ref, amount: 1000 }))
      }
    },
    'loses a dispute': (world, order) => dispute(world, order, 'lose'),
    'wins a dispute': (world, order) => dispute(world, order, 'win'),
  }

function dispute(world: World, order: ToldOrder, end: 'lose' | 'win'): void {
  for (const ref of intentsOf(world, order)) {
    unlessRefused(() => {
      const { id } = world.sandbox.openDispute(ref)
      world.sandbox.endDispute(id, end)
    })
  }
}

function intentsOf({ sandbox }: World, { orderId }: ToldOrder): string[] {
  return (sandbox.audit().chargesByOrder[orderId] ?? []).map(({ paymentIntent }) => paymentIntent)
}

/** What the provider refuses has no effect: that is for its own tests. */
function unlessRefused(act: () => unknown): void {
  try {
    act()
  } catch (error) {
    if (!(error instanceof Error && error.name === 'ApiError')) throw error
  }
}

function emailOf({ nth }: Story): string {
  return `guest-${nth}@customer.example`
}

/** Long enough for those who have no token. */
function keyOf({ nth }: Story, what: string): string {
  return `a-key-of-story-${nth}-to-${what.replaceAll(' ', '-')}`
}
