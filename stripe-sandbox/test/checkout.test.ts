import type { Stripe } from 'stripe'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startSandbox, type Sandbox } from '../src/index.ts'
import { clientOf, errorOf, withSandbox } from './support.ts'

let sandbox: Sandbox
let stripe: Stripe

beforeAll(async () => {
  sandbox = await startSandbox({ port: 0 })
  stripe = clientOf(sandbox)
})
afterAll(() => sandbox.close())

const SESSION: Stripe.Checkout.SessionCreateParams = {
  mode: 'payment',
  success_url: 'https://shop.example/thanks?session={CHECKOUT_SESSION_ID}',
  cancel_url: 'https://shop.example/basket',
  customer_email: 'ada@example.com',
  client_reference_id: 'ord_1',
  line_items: [
    {
      price_data: {
        currency: 'gbp',
        product_data: { name: 'Will <b>review</b>' },
        unit_amount: 4500,
      },
      quantity: 2,
    },
    {
      price_data: { currency: 'gbp', product_data: { name: 'Courier' }, unit_amount: 1050 },
      quantity: 1,
    },
  ],
  payment_intent_data: { metadata: { order_id: 'ord_1' }, description: 'Order 1' },
}

const open = (changes: Partial<Stripe.Checkout.SessionCreateParams> = {}) =>
  stripe.checkout.sessions.create({ ...SESSION, ...changes })

const CARD = { email: 'ada@example.com', expiry: '12/34', cvc: '123', name: 'Ada' }

const submit = (session: Stripe.Checkout.Session, entries: Record<string, string>) =>
  fetch(session.url!, { method: 'POST', redirect: 'manual', body: new URLSearchParams(entries) })

const authenticate = (url: string, result: string) =>
  fetch(url, { method: 'POST', redirect: 'manual', body: new URLSearchParams({ result }) })

const typesOf = async (id: string) =>
  (await stripe.events.list({ type: 'checkout.session.*', limit: 100 })).data
    .filter(({ data }) => (data.object as { id: string }).id === id)
    .map(({ type }) => type)
    .toReversed()

describe('a hosted session', () => {
  it('shows what is bought, escaped, and works without JavaScript', async () => {
    const session = await open()
    expect(session).toMatchObject({ amount_total: 10_050, payment_intent: null, status: 'open' })
    const shown = await fetch(session.url!)
    const page = await shown.text()
    expect(page).toContain('Pay 100.50 GBP')
    expect(page).toContain('Will &lt;b&gt;review&lt;/b&gt;')
    expect(page).toContain('href="https://shop.example/basket"')
    expect(page).toContain('value="ada@example.com"')
    expect(page).not.toContain('<script')
    expect(shown.headers.get('content-security-policy')).toContain("default-src 'none'")
    const items = await stripe.checkout.sessions.listLineItems(session.id)
    expect(items.data.map(({ amount_total: total }) => total)).toEqual([9000, 1050])
  })

  it('is paid by card and leads back to the shop', async () => {
    const session = await open()
    const answer = await submit(session, { ...CARD, cardNumber: '4242 4242 4242 4242' })
    expect(answer.status).toBe(303)
    expect(answer.headers.get('location')).toBe(`https://shop.example/thanks?session=${session.id}`)
    const paid = await stripe.checkout.sessions.retrieve(session.id, {
      expand: ['payment_intent.latest_charge', 'line_items'],
    })
    expect(paid).toMatchObject({
      customer_details: { email: 'ada@example.com', name: 'Ada' },
      payment_intent: {
        amount: 10_050,
        description: 'Order 1',
        latest_charge: { billing_details: { email: 'ada@example.com' } },
        metadata: { order_id: 'ord_1' },
        status: 'succeeded',
      },
      payment_status: 'paid',
      status: 'complete',
      url: null,
    })
    expect(paid.line_items?.data).toHaveLength(2)
    expect(await typesOf(session.id)).toEqual(['checkout.session.completed'])
    const intent = paid.payment_intent as Stripe.PaymentIntent
    const found = await stripe.checkout.sessions.list({ payment_intent: intent.id })
    expect(found.data.map(({ id }) => id)).toEqual([session.id])
    const again = await submit(session, { ...CARD, cardNumber: '4242424242424242' })
    expect(again.status).toBe(303)
    expect((await stripe.charges.list({ payment_intent: intent.id })).data).toHaveLength(1)
  })

  it('says why a card was declined and takes another on the same intent', async () => {
    const session = await open()
    const declined = await submit(session, { ...CARD, cardNumber: '4000000000009995' })
    expect(declined.status).toBe(402)
    const page = await declined.text()
    expect(page).toContain('role="alert"')
    expect(page).toContain('Your card has insufficient funds.')
    expect(page).toContain('value="4000000000009995"')
    const open1 = await stripe.checkout.sessions.retrieve(session.id)
    expect(open1.status).toBe('open')
    await submit(session, { ...CARD, cardNumber: '4242424242424242' })
    const paid = await stripe.checkout.sessions.retrieve(session.id)
    expect(paid.payment_intent).toBe(open1.payment_intent)
    expect(paid.payment_status).toBe('paid')
  })

  it.each([
    [{ cardNumber: '4242424242424241' }, 'card number is invalid'],
    [{ cardNumber: '4532015112830366' }, 'test cards only'],
    [{ cardNumber: '4242424242424242', expiry: '01/20' }, 'expiration date'],
    [{ cardNumber: '4242424242424242', expiry: 'soon' }, 'expiration date'],
    [{ cardNumber: '4242424242424242', cvc: '1' }, 'security code'],
    [{ cardNumber: '4242424242424242', email: 'nobody' }, 'e-mail address'],
  ])('422 for %j', async (entries, problem) => {
    const session = await open()
    const answer = await submit(session, { ...CARD, ...entries })
    expect(answer.status).toBe(422)
    expect(await answer.text()).toContain(problem)
  })

  it('leads through authentication, back after a failure and on after success', async () => {
    const session = await open()
    const pay = () => submit(session, { ...CARD, cardNumber: '4000000000003220' })
    const first = await pay()
    const failed = await authenticate(first.headers.get('location')!, 'fail')
    const back = await fetch(failed.headers.get('location')!)
    expect(await back.text()).toContain('failed authentication')
    const second = await pay()
    const completed = await authenticate(second.headers.get('location')!, 'complete')
    const done = await fetch(completed.headers.get('location')!, { redirect: 'manual' })
    expect(done.headers.get('location')).toContain('https://shop.example/thanks')
    expect(await stripe.checkout.sessions.retrieve(session.id)).toMatchObject({
      payment_status: 'paid',
    })
  })

  it('is complete but unpaid with a bank debit, which settles or fails later', async () => {
    for (const [payWith, ending] of [
      ['pm_bacsDebit_success', 'checkout.session.async_payment_succeeded'],
      ['pm_bacsDebit_insufficientFunds', 'checkout.session.async_payment_failed'],
    ] as const) {
      const session = await open({ allowed_payment_method_types: ['card', 'bacs_debit'] })
      await submit(session, { ...CARD, payWith })
      const complete = await stripe.checkout.sessions.retrieve(session.id)
      expect(complete).toMatchObject({ payment_status: 'unpaid', status: 'complete' })
      sandbox.settlePayment(complete.payment_intent as string)
      expect(await typesOf(session.id)).toEqual(['checkout.session.completed', ending])
    }
  })

  it('expires when told: the page says so and the intent is canceled', async () => {
    const session = await open()
    await submit(session, { ...CARD, cardNumber: '4000000000000002' })
    const expired = await stripe.checkout.sessions.expire(session.id)
    expect(expired).toMatchObject({ status: 'expired', url: null })
    const shown = await fetch(session.url!)
    expect(shown.status).toBe(410)
    expect(await shown.text()).toContain('This checkout has expired')
    const intent = await stripe.paymentIntents.retrieve(expired.payment_intent as string)
    expect(intent.status).toBe('canceled')
    expect(await typesOf(session.id)).toEqual(['checkout.session.expired'])
    const again = await errorOf(stripe.checkout.sessions.expire(session.id))
    expect(again.statusCode).toBe(400)
  })

  it('expires by itself when its time is over', async () => {
    let now = new Date('2026-01-01T00:00:00Z')
    await withSandbox({ now: () => now }, async (timed, client) => {
      const session = await client.checkout.sessions.create({
        ...SESSION,
        expires_at: now.getTime() / 1000 + 1800,
      })
      now = new Date('2026-01-01T00:30:00Z')
      expect(await client.checkout.sessions.retrieve(session.id)).toMatchObject({
        status: 'expired',
      })
      expect(timed.counts().event).toBe(1)
    })
  })

  it('keeps its intent to itself', async () => {
    const session = await open()
    await submit(session, { ...CARD, cardNumber: '4000000000000002' })
    const { payment_intent: intent } = await stripe.checkout.sessions.retrieve(session.id)
    const confirm = stripe.paymentIntents.confirm(intent as string, {
      payment_method: 'pm_card_visa',
    })
    expect((await errorOf(confirm)).code).toBe('payment_intent_unexpected_state')
    const cancel = stripe.paymentIntents.cancel(intent as string)
    expect((await errorOf(cancel)).code).toBe('payment_intent_unexpected_state')
  })

  it.each([
    [{ line_items: [] }, 'line_items'],
    [{ mode: 'subscription' }, 'mode'],
    [{ success_url: 'not a url' }, 'success_url'],
    [{ expires_at: 1 }, 'expires_at'],
    [{ line_items: [{ price: 'price_1', quantity: 1 }] }, 'line_items[0][price]'],
    [{ line_items: [{ quantity: 1 }] }, 'line_items[0][price_data]'],
  ])('is refused with %j', async (changes, param) => {
    const error = await errorOf(open(changes))
    expect([400, 404]).toContain(error.statusCode)
    expect(error.param).toBe(param)
  })
})
