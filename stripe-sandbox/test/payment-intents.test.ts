import fc from 'fast-check'
import { Stripe } from 'stripe'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startSandbox, type Sandbox } from '../src/index.ts'
import { CARD_PAYMENT, clientOf, errorOf } from './support.ts'

let sandbox: Sandbox
let stripe: Stripe

beforeAll(async () => {
  sandbox = await startSandbox({ port: 0 })
  stripe = clientOf(sandbox)
})
afterAll(() => sandbox.close())

const pay = (paymentMethod: string, changes: Partial<Stripe.PaymentIntentCreateParams> = {}) =>
  stripe.paymentIntents.create({
    ...CARD_PAYMENT,
    confirm: true,
    payment_method: paymentMethod,
    ...changes,
  })

const idsOf = (page: { data: { id: string }[] }) => page.data.map(({ id }) => id)

const eventTypesOf = async (intentId: string) => {
  const events = await stripe.events.list({ limit: 100 })
  return events.data
    .filter(({ data }) => {
      const object = data.object as { id?: string; payment_intent?: string }
      return object.id === intentId || object.payment_intent === intentId
    })
    .map(({ type }) => type)
    .toReversed()
}

describe('a card that succeeds', () => {
  it('walks through the states and announces each', async () => {
    const created = await stripe.paymentIntents.create({
      ...CARD_PAYMENT,
      metadata: { order_id: 'ord_1' },
    })
    expect(created).toMatchObject({
      status: 'requires_payment_method',
      capture_method: 'automatic_async',
      amount_received: 0,
      livemode: false,
    })
    expect(created.client_secret).toMatch(new RegExp(`^${created.id}_secret_\\w{25}$`))
    const chosen = await stripe.paymentIntents.update(created.id, {
      payment_method: 'pm_card_mastercard',
    })
    expect(chosen.status).toBe('requires_confirmation')
    const paid = await stripe.paymentIntents.confirm(
      created.id,
      { expand: ['latest_charge.balance_transaction', 'payment_method'] },
      { idempotencyKey: 'pay_1:confirm:1' },
    )
    expect(paid).toMatchObject({ status: 'succeeded', amount_received: 4200 })
    expect(paid.latest_charge).toMatchObject({
      amount_captured: 4200,
      captured: true,
      metadata: { order_id: 'ord_1' },
      paid: true,
      payment_intent: created.id,
      status: 'succeeded',
      balance_transaction: { amount: 4200, currency: 'gbp', type: 'charge' },
    })
    expect(paid.payment_method).toMatchObject({ card: { brand: 'mastercard', last4: '4444' } })
    expect(await eventTypesOf(created.id)).toEqual([
      'payment_intent.created',
      'charge.succeeded',
      'payment_intent.succeeded',
      'charge.updated',
    ])
    const events = await stripe.events.list({ type: 'payment_intent.succeeded', limit: 1 })
    expect(events.data[0]?.request?.idempotency_key).toBe('pay_1:confirm:1')
  })
})

describe('cards that are declined', () => {
  it.each([
    ['pm_card_chargeDeclined', 'card_declined', 'generic_decline'],
    ['pm_card_visa_chargeDeclined', 'card_declined', 'generic_decline'],
    ['pm_card_chargeDeclinedInsufficientFunds', 'card_declined', 'insufficient_funds'],
    ['pm_card_chargeDeclinedLostCard', 'card_declined', 'lost_card'],
    ['pm_card_chargeDeclinedStolenCard', 'card_declined', 'stolen_card'],
    ['pm_card_chargeDeclinedExpiredCard', 'expired_card', 'expired_card'],
    ['pm_card_chargeDeclinedIncorrectCvc', 'incorrect_cvc', 'incorrect_cvc'],
    ['pm_card_chargeDeclinedProcessingError', 'processing_error', 'processing_error'],
    ['pm_card_chargeDeclinedFraudulent', 'card_declined', 'fraudulent'],
  ])('%s ends in 402 %s/%s and the intent can be tried again', async (card, code, decline) => {
    const error = await errorOf(pay(card))
    expect(error).toBeInstanceOf(Stripe.errors.StripeCardError)
    expect(error).toMatchObject({ statusCode: 402, code, decline_code: decline })
    const intent = error.payment_intent
    expect(intent).toMatchObject({
      status: 'requires_payment_method',
      payment_method: null,
      last_payment_error: { type: 'card_error', code, decline_code: decline },
    })
    const charge = await stripe.charges.retrieve(intent?.latest_charge as string)
    expect(charge).toMatchObject({ status: 'failed', paid: false, failure_code: code })
    const paid = await stripe.paymentIntents.confirm(intent?.id ?? '', {
      payment_method: 'pm_card_visa',
    })
    expect(paid).toMatchObject({ status: 'succeeded', last_payment_error: null })
    expect(await eventTypesOf(paid.id)).toEqual([
      'payment_intent.created',
      'charge.failed',
      'payment_intent.payment_failed',
      'charge.succeeded',
      'payment_intent.succeeded',
      'charge.updated',
    ])
  })
})

describe('an intent that is updated', () => {
  it.each(['pm_card_chargeDeclined', 'pm_card_authenticationRequired'])(
    'forgets what its last card came to (%s)',
    async (card) => {
      const { id } = await stripe.paymentIntents.create(CARD_PAYMENT)
      const tried = { payment_method: card, return_url: 'https://shop.example/back' }
      await stripe.paymentIntents.confirm(id, tried).catch(() => undefined)
      const updated = await stripe.paymentIntents.update(id, { amount: 2000 })
      expect(updated).toMatchObject({ amount: 2000, last_payment_error: null, next_action: null })
      expect(updated.status).toMatch(/^requires_(payment_method|confirmation)$/)
    },
  )
})

describe('cards that ask for authentication', () => {
  it('gives a page to go to, and pays when the customer completes it there', async () => {
    const waiting = await pay('pm_card_authenticationRequired', {
      return_url: 'https://shop.example/back?order=1',
    })
    expect(waiting.status).toBe('requires_action')
    const url = waiting.next_action?.redirect_to_url?.url ?? ''
    const shown = await fetch(url)
    expect(await shown.text()).toContain('Authenticate your payment of 42.00 GBP')
    const completed = await fetch(url, {
      method: 'POST',
      redirect: 'manual',
      body: new URLSearchParams({ result: 'complete' }),
    })
    const back = new URL(completed.headers.get('location') ?? '')
    expect(back.origin).toBe('https://shop.example')
    expect(Object.fromEntries(back.searchParams)).toMatchObject({
      order: '1',
      payment_intent: waiting.id,
      redirect_status: 'succeeded',
    })
    expect(await stripe.paymentIntents.retrieve(waiting.id)).toMatchObject({ status: 'succeeded' })
  })

  it('fails without a charge when the customer fails', async () => {
    const waiting = await pay('pm_card_threeDSecure2Required')
    expect(waiting.next_action?.type).toBe('use_stripe_sdk')
    sandbox.finishAuthentication(waiting.id, 'fail')
    expect(await stripe.paymentIntents.retrieve(waiting.id)).toMatchObject({
      status: 'requires_payment_method',
      latest_charge: null,
      last_payment_error: { code: 'payment_intent_authentication_failure' },
    })
  })

  it('declines after authentication where the card is meant to', async () => {
    const waiting = await pay('pm_card_authenticationRequiredChargeDeclinedInsufficientFunds')
    sandbox.finishAuthentication(waiting.id, 'complete')
    expect(await stripe.paymentIntents.retrieve(waiting.id)).toMatchObject({
      status: 'requires_payment_method',
      last_payment_error: { decline_code: 'insufficient_funds' },
    })
  })

  it('402 authentication_required when the customer is not there', async () => {
    const error = await errorOf(pay('pm_card_authenticationRequired', { off_session: true }))
    expect(error).toMatchObject({ statusCode: 402, code: 'authentication_required' })
  })

  it('404 for the page without the right secret', async () => {
    const waiting = await pay('pm_card_authenticationRequired')
    const wrong = await fetch(`${sandbox.url}/authenticate/${waiting.id}?secret=guess`)
    expect(wrong.status).toBe(404)
  })
})

describe('bank debits', () => {
  it('are processing first and succeed or fail as meant when told to settle', async () => {
    const good = await pay('pm_bacsDebit_success')
    expect(good.status).toBe('processing')
    sandbox.settlePayment(good.id)
    expect(await stripe.paymentIntents.retrieve(good.id)).toMatchObject({ status: 'succeeded' })
    const bad = await pay('pm_bacsDebit_accountClosed')
    sandbox.settlePayment(bad.id)
    expect(await stripe.paymentIntents.retrieve(bad.id)).toMatchObject({
      status: 'requires_payment_method',
      last_payment_error: { decline_code: 'account_closed' },
    })
    expect(await eventTypesOf(bad.id)).toEqual([
      'payment_intent.created',
      'charge.pending',
      'payment_intent.processing',
      'charge.failed',
      'payment_intent.payment_failed',
    ])
  })

  it('400 payment_intent_unexpected_state for a cancellation under way', async () => {
    const intent = await pay('pm_bacsDebit_success')
    const error = await errorOf(stripe.paymentIntents.cancel(intent.id))
    expect(error).toMatchObject({ statusCode: 400, code: 'payment_intent_unexpected_state' })
    expect(error.payment_intent?.status).toBe('processing')
  })
})

describe('manual capture', () => {
  it('holds the amount, takes a part of it and releases the rest', async () => {
    const held = await pay('pm_card_visa', { capture_method: 'manual' })
    expect(held).toMatchObject({ status: 'requires_capture', amount_capturable: 4200 })
    const error = await errorOf(stripe.paymentIntents.capture(held.id, { amount_to_capture: 4201 }))
    expect(error.statusCode).toBe(400)
    const taken = await stripe.paymentIntents.capture(
      held.id,
      { amount_to_capture: 4000 },
      { idempotencyKey: 'capture_1' },
    )
    expect(taken).toMatchObject({
      status: 'succeeded',
      amount_received: 4000,
      amount_capturable: 0,
    })
  })

  it('gives the hold back on cancellation', async () => {
    const held = await pay('pm_card_visa', { capture_method: 'manual' })
    const canceled = await stripe.paymentIntents.cancel(held.id, {
      cancellation_reason: 'abandoned',
    })
    expect(canceled).toMatchObject({ status: 'canceled', cancellation_reason: 'abandoned' })
    const charge = await stripe.charges.retrieve(canceled.latest_charge as string)
    expect(charge).toMatchObject({ captured: false, refunded: true })
  })
})

describe('requests that are refused', () => {
  it.each([
    [{ currency: 'gbp' }, 'parameter_missing', 'amount'],
    [{ amount: 'ten', currency: 'gbp' }, 'parameter_invalid_integer', 'amount'],
    [{ amount: 10.5, currency: 'gbp' }, 'parameter_invalid_integer', 'amount'],
    [{ amount: 0, currency: 'gbp' }, 'parameter_invalid_integer', 'amount'],
    [{ amount: 29, currency: 'gbp' }, 'amount_too_small', 'amount'],
    [{ amount: 49, currency: 'jpy' }, 'amount_too_small', 'amount'],
    [{ amount: 100_000_000, currency: 'usd' }, 'amount_too_large', 'amount'],
    [{ amount: 500, currency: 'gbp', colour: 'red' }, 'parameter_unknown', 'colour'],
    [{ amount: 500, currency: 'gbp', customer: 'cus_none' }, 'resource_missing', 'customer'],
    [{ amount: 500, currency: '' }, 'parameter_invalid_empty', 'currency'],
  ])('%j: %s', async (parameters, code, param) => {
    const error = await errorOf(stripe.paymentIntents.create(parameters as never))
    expect(error).toMatchObject({ type: 'StripeInvalidRequestError', code, param })
  })

  it('400 for a confirmation without a return address while redirects are possible', async () => {
    const error = await errorOf(
      stripe.paymentIntents.create({
        amount: 500,
        currency: 'gbp',
        confirm: true,
        payment_method: 'pm_card_visa',
      }),
    )
    expect(error.message).toContain('return_url')
  })

  it('404 resource_missing for an unknown intent and an unknown payment method', async () => {
    const intent = await errorOf(stripe.paymentIntents.retrieve('pi_none'))
    expect(intent).toMatchObject({ statusCode: 404, code: 'resource_missing' })
    const method = await errorOf(pay('pm_card_none'))
    expect(method).toMatchObject({ code: 'resource_missing', param: 'payment_method' })
  })

  it('401 without a key, with a live one and with another than the configured', async () => {
    const none = await fetch(`${sandbox.url}/v1/balance`)
    expect(none.status).toBe(401)
    const live = await fetch(`${sandbox.url}/v1/balance`, {
      headers: { authorization: 'Bearer sk_live_123' },
    })
    expect(live.status).toBe(401)
    const basic = await fetch(`${sandbox.url}/v1/balance`, {
      headers: { authorization: `Basic ${btoa('sk_test_1:')}` },
    })
    expect(basic.status).toBe(200)
  })

  it('404 in the shape of Stripe for an unknown path', async () => {
    const error = await errorOf(stripe.rawRequest('GET', '/v1/unicorns'))
    expect(error).toMatchObject({ statusCode: 404 })
    expect(error.message).toContain('Unrecognized request URL (GET: /v1/unicorns)')
  })
})

describe('lists and metadata', () => {
  it('pages through intents newest first in both directions, by creation time', async () => {
    const made: string[] = []
    for (let count = 0; count < 5; count += 1) {
      made.unshift((await stripe.paymentIntents.create(CARD_PAYMENT)).id)
    }
    const first = await stripe.paymentIntents.list({ limit: 2 })
    expect(idsOf(first)).toEqual(made.slice(0, 2))
    expect(first.has_more).toBe(true)
    const second = await stripe.paymentIntents.list({ limit: 2, starting_after: made[1]! })
    expect(idsOf(second)).toEqual(made.slice(2, 4))
    const back = await stripe.paymentIntents.list({ limit: 2, ending_before: made[3]! })
    expect(idsOf(back)).toEqual(made.slice(1, 3))
    expect(back.has_more).toBe(true)
    const later = Math.floor(Date.now() / 1000) + 60
    expect((await stripe.paymentIntents.list({ created: { gte: later } })).data).toEqual([])
    const seen: string[] = []
    for await (const { id } of stripe.paymentIntents.list({ limit: 3 })) {
      seen.push(id)
      if (seen.length === 5) break
    }
    expect(seen).toEqual(made)
  })

  it('merges metadata, removes what is empty and clears all of it', async () => {
    const { id } = await stripe.paymentIntents.create({
      ...CARD_PAYMENT,
      metadata: { a: '1', b: '2' },
    })
    const merged = await stripe.paymentIntents.update(id, { metadata: { a: '', c: '3' } })
    expect(merged.metadata).toEqual({ b: '2', c: '3' })
    const cleared = await stripe.paymentIntents.update(id, { metadata: '' })
    expect(cleared.metadata).toEqual({})
  })
})

describe('the machine', () => {
  const STEPS = [
    'update',
    'choose',
    'decline',
    'confirm',
    'cancel',
    'authenticate',
    'capture',
  ] as const

  it('never charges an intent twice and refuses with a definite answer, in any order', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...STEPS), { minLength: 1, maxLength: 12 }),
        fc.constantFrom('automatic', 'manual'),
        async (steps, captureMethod) => {
          const { id } = await stripe.paymentIntents.create({
            ...CARD_PAYMENT,
            capture_method: captureMethod,
          })
          let final: string | undefined
          for (const step of steps) {
            await takeStep(id, step)
            const { status } = await stripe.paymentIntents.retrieve(id)
            if (final !== undefined) expect(status).toBe(final)
            if (status === 'succeeded' || status === 'canceled') final = status
          }
          const charges = await stripe.charges.list({ payment_intent: id, limit: 100 })
          const taken = charges.data.filter(({ captured, paid }) => captured && paid)
          const intent = await stripe.paymentIntents.retrieve(id)
          expect(taken.length).toBe(intent.status === 'succeeded' ? 1 : 0)
          expect(intent.amount_received).toBe(taken[0]?.amount_captured ?? 0)
        },
      ),
      { numRuns: 40 },
    )
  })

  async function takeStep(id: string, step: (typeof STEPS)[number]): Promise<void> {
    const card = { decline: 'pm_card_chargeDeclined', authenticate: 'pm_card_threeDSecureRequired' }
    try {
      if (step === 'update') await stripe.paymentIntents.update(id, { amount: 5000 })
      else if (step === 'choose') {
        await stripe.paymentIntents.update(id, { payment_method: 'pm_card_visa' })
      } else if (step === 'cancel') await stripe.paymentIntents.cancel(id)
      else if (step === 'capture') await stripe.paymentIntents.capture(id)
      else if (step === 'confirm') {
        await stripe.paymentIntents.confirm(id, { payment_method: 'pm_card_visa' })
      } else {
        await stripe.paymentIntents.confirm(id, { payment_method: card[step] })
        if (step === 'authenticate') sandbox.finishAuthentication(id, 'complete')
      }
    } catch (error) {
      if (!(error instanceof Stripe.errors.StripeError)) throw error
      expect(['payment_intent_unexpected_state', 'card_declined']).toContain(error.code)
    }
  }
})
