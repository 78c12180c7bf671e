import type { Stripe } from 'stripe'
import { describe, expect, it } from 'vitest'
import { CARD_PAYMENT, errorOf, withSandbox } from './support.ts'

const create = (
  stripe: Stripe,
  key: string,
  changes: Partial<Stripe.PaymentIntentCreateParams> = {},
) => stripe.paymentIntents.create({ ...CARD_PAYMENT, ...changes }, { idempotencyKey: key })

describe('an idempotency key', () => {
  it('gives the same answer again, marked as replayed', () =>
    withSandbox({}, async (sandbox, stripe) => {
      const first = await create(stripe, 'key')
      const second = await create(stripe, 'key')
      expect(first.lastResponse.headers['idempotent-replayed']).toBeUndefined()
      expect(second.lastResponse.headers).toMatchObject({
        'idempotency-key': 'key',
        'idempotent-replayed': 'true',
        'original-request': first.lastResponse.requestId,
      })
      expect({ ...second }).toEqual({ ...first })
      expect(sandbox.counts().payment_intent).toBe(1)
    }))

  it('does not care for the order of parameters', () =>
    withSandbox({}, async (sandbox, stripe) => {
      await stripe.customers.create(
        { name: 'A', metadata: { x: '1', y: '2' } },
        { idempotencyKey: 'k' },
      )
      await stripe.customers.create(
        { metadata: { y: '2', x: '1' }, name: 'A' },
        { idempotencyKey: 'k' },
      )
      expect(sandbox.counts().customer).toBe(1)
    }))

  it('400 idempotency_error with other parameters or at another endpoint', () =>
    withSandbox({}, async (_sandbox, stripe) => {
      await create(stripe, 'key')
      const amount = await errorOf(create(stripe, 'key', { amount: 4300 }))
      expect(amount).toMatchObject({ statusCode: 400, type: 'StripeIdempotencyError' })
      const endpoint = await errorOf(stripe.customers.create({}, { idempotencyKey: 'key' }))
      expect(endpoint).toMatchObject({ statusCode: 400, type: 'StripeIdempotencyError' })
    }))

  it('409 idempotency_key_in_use while the first request is under way', () =>
    withSandbox({}, async (sandbox, stripe) => {
      sandbox.setFaults([{ operation: 'payment_intents.create', effect: 'delay', delayMs: 300 }])
      const first = create(stripe, 'key')
      const others = await Promise.all(
        Array.from({ length: 20 }, async () => {
          try {
            return { id: (await create(stripe, 'key')).id, code: undefined }
          } catch (error) {
            const { code } = error as Stripe.errors.StripeError
            return { id: undefined, code }
          }
        }),
      )
      const { id } = await first
      for (const other of others) {
        if (other.id === undefined) expect(other.code).toBe('idempotency_key_in_use')
        else expect(other.id).toBe(id)
      }
      expect(others.some(({ code }) => code === 'idempotency_key_in_use')).toBe(true)
      expect((await create(stripe, 'key')).id).toBe(id)
      expect(sandbox.counts().payment_intent).toBe(1)
    }))

  it('makes one charge of 50 parallel confirmations', () =>
    withSandbox({}, async (sandbox, stripe) => {
      const { id } = await stripe.paymentIntents.create({
        ...CARD_PAYMENT,
        payment_method: 'pm_card_visa',
      })
      const calls = Array.from({ length: 50 }, () =>
        stripe.paymentIntents.confirm(id, {}, { idempotencyKey: 'confirm' }),
      )
      const answers = await Promise.all(calls)
      expect(new Set(answers.map(({ latest_charge: charge }) => charge)).size).toBe(1)
      expect(sandbox.counts().charge).toBe(1)
    }))

  it('keeps a decline, so that the same attempt is not made again', () =>
    withSandbox({}, async (sandbox, stripe) => {
      const { id } = await create(stripe, 'create')
      const confirm = () =>
        stripe.paymentIntents.confirm(
          id,
          { payment_method: 'pm_card_chargeDeclined' },
          { idempotencyKey: 'confirm' },
        )
      const first = await errorOf(confirm())
      const second = await errorOf(confirm())
      expect(second.headers?.['idempotent-replayed']).toBe('true')
      expect(second.charge).toBe(first.charge)
      expect(sandbox.counts().charge).toBe(1)
    }))

  it('is free again after a request that failed validation', () =>
    withSandbox({}, async (_sandbox, stripe) => {
      await errorOf(create(stripe, 'key', { amount: 0 }))
      expect((await create(stripe, 'key')).status).toBe('requires_payment_method')
    }))

  it('is forgotten after a day', async () => {
    let now = new Date('2026-01-01T00:00:00Z')
    await withSandbox({ now: () => now }, async (sandbox, stripe) => {
      const first = await create(stripe, 'key')
      now = new Date('2026-01-01T23:59:59Z')
      expect((await create(stripe, 'key')).id).toBe(first.id)
      now = new Date('2026-01-02T00:00:00Z')
      expect((await create(stripe, 'key')).id).not.toBe(first.id)
      expect(sandbox.counts().payment_intent).toBe(2)
    })
  })

  it('400 when it is longer than 255 characters', () =>
    withSandbox({}, async (_sandbox, stripe) => {
      const error = await errorOf(create(stripe, 'k'.repeat(256)))
      expect(error.statusCode).toBe(400)
    }))
})

describe('the audit', () => {
  it('lists writes without a key or with a random one, and money taken twice', () =>
    withSandbox({}, async (sandbox, stripe) => {
      const pay = (key: string) =>
        create(stripe, key, {
          confirm: true,
          metadata: { order_id: 'ord_1' },
          payment_method: 'pm_card_visa',
        })
      await pay('pay_1:create:1')
      expect(sandbox.audit()).toMatchObject({
        doubleCharges: [],
        postsWithoutKey: [],
        randomKeys: [],
      })
      await pay('pay_1:create:2')
      const headers = { authorization: 'Bearer sk_test_1' }
      await fetch(`${sandbox.url}/v1/customers`, { method: 'POST', headers })
      // Without a key of ours the client makes one up.
      await stripe.customers.create({ name: 'A' })
      const report = sandbox.audit()
      expect(report.operations).toEqual({ 'payment_intents.create': 2, 'customers.create': 2 })
      expect(report.postsWithoutKey).toHaveLength(1)
      expect(report.randomKeys).toHaveLength(1)
      expect(report.chargesByOrder['ord_1']).toHaveLength(2)
      expect(report.doubleCharges.map(({ by, value }) => [by, value])).toEqual([
        ['order', 'ord_1'],
        ['key', 'pay_1'],
      ])
    }))

  it.each([
    ['cb4ff8a5-2f0e-11ee-be56-0242ac120002', 1],
    ['order-0191e2c4-7b2a-7cc3-98c4-dc0c0c07398f', 1],
    ['886313e1-3b8a-5372-9b90-0c9aee199e5d', 0],
    ['pay_01jd8q9yg8e5v9c0m4t7k2x3za:create:0', 0],
  ])('takes %s for %i made up', (key, count) =>
    withSandbox({}, async (sandbox, stripe) => {
      await create(stripe, key)
      expect(sandbox.audit().randomKeys).toHaveLength(count)
    }),
  )

  it('lists money that went back twice for what the client calls one refund', () =>
    withSandbox({}, async (sandbox, stripe) => {
      const { id } = await create(stripe, 'pay_1:create:0', {
        confirm: true,
        payment_method: 'pm_card_visa',
      })
      const giveBack = (name: string, key: string) =>
        stripe.refunds.create(
          { payment_intent: id, amount: 1000, metadata: { refund_id: name } },
          { idempotencyKey: key },
        )
      await giveBack('ref_1', 'pay_1:refund-ref_1:0')
      await giveBack('ref_1', 'pay_1:refund-ref_1:0')
      await giveBack('ref_2', 'pay_1:refund-ref_2:0')
      expect(sandbox.audit().doubleRefunds).toEqual([])
      await giveBack('ref_1', 'pay_1:refund-ref_1:1')
      const [double] = sandbox.audit().doubleRefunds
      expect(double).toMatchObject({
        value: 'ref_1',
        refunds: [{ amount: 1000 }, { amount: 1000 }],
      })
    }))
})
