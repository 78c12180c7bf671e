import { describe, expect, it } from 'vitest'
import { CARD_PAYMENT, errorOf, withSandbox } from './support.ts'

const PAID = { ...CARD_PAYMENT, confirm: true, payment_method: 'pm_card_visa' } as const

/** The client repeats a request once by itself when its connection was reset. */
const CUTS = 2

describe('faults of requests', () => {
  it('500 before: nothing happened, and the 500 stays under its key', () =>
    withSandbox({}, async (sandbox, stripe) => {
      sandbox.setFaults([
        { operation: 'payment_intents.create', effect: 'answer', when: 'before', status: 500 },
      ])
      const call = () => stripe.paymentIntents.create(PAID, { idempotencyKey: 'pay:1' })
      expect(await errorOf(call())).toMatchObject({ statusCode: 500, type: 'StripeAPIError' })
      const again = await errorOf(call())
      expect(again).toMatchObject({ statusCode: 500 })
      expect(again.headers?.['idempotent-replayed']).toBe('true')
      expect(sandbox.counts().payment_intent).toBe(0)
      const other = await stripe.paymentIntents.create(PAID, { idempotencyKey: 'pay:2' })
      expect(other.status).toBe('succeeded')
    }))

  it('500 after: the money moved although the answer says otherwise', () =>
    withSandbox({}, async (sandbox, stripe) => {
      sandbox.setFaults([{ operation: 'payment_intents.create', effect: 'answer', when: 'after' }])
      const error = await errorOf(stripe.paymentIntents.create(PAID, { idempotencyKey: 'pay:1' }))
      expect(error.statusCode).toBe(500)
      expect((await stripe.paymentIntents.list()).data[0]?.status).toBe('succeeded')
    }))

  it.each([409, 429])('%i is not kept: the next try with the key goes through', (status) =>
    withSandbox({}, async (sandbox, stripe) => {
      sandbox.setFaults([{ operation: 'payment_intents.*', effect: 'answer', status }])
      const call = () => stripe.paymentIntents.create(PAID, { idempotencyKey: 'pay:1' })
      expect((await errorOf(call())).statusCode).toBe(status)
      expect((await call()).status).toBe('succeeded')
      expect(sandbox.counts().charge).toBe(1)
    }),
  )

  it('a cut after the operation loses the answer, not the fact', () =>
    withSandbox({}, async (sandbox, stripe) => {
      sandbox.setFaults([
        { operation: 'payment_intents.create', effect: 'cut', when: 'after', times: CUTS },
      ])
      const call = () => stripe.paymentIntents.create(PAID, { idempotencyKey: 'pay:1' })
      expect(await errorOf(call())).toMatchObject({ type: 'StripeConnectionError' })
      const again = await call()
      expect(again.lastResponse.headers['idempotent-replayed']).toBe('true')
      expect(sandbox.counts().charge).toBe(1)
    }))

  it('a cut before the operation leaves nothing behind', () =>
    withSandbox({}, async (sandbox, stripe) => {
      sandbox.setFaults([{ operation: '*', effect: 'cut', times: CUTS }])
      await errorOf(stripe.paymentIntents.create(PAID, { idempotencyKey: 'pay:1' }))
      expect(sandbox.counts().payment_intent).toBe(0)
      expect(sandbox.counts().kept_answer).toBe(0)
    }))

  it('skips and counts as told, and is then used up', () =>
    withSandbox({}, async (sandbox, stripe) => {
      sandbox.setFaults([
        { operation: 'balance.retrieve', effect: 'answer', status: 503, skip: 1, times: 2 },
      ])
      const statuses: number[] = []
      for (let count = 0; count < 4; count += 1) {
        const status = await stripe.balance.retrieve().then(
          () => 200,
          (error: { statusCode: number }) => error.statusCode,
        )
        statuses.push(status)
      }
      expect(statuses).toEqual([200, 503, 503, 200])
      expect(sandbox.listFaults()).toEqual([])
    }))
})

describe('hostile requests', () => {
  const headers = {
    authorization: 'Bearer sk_test_1',
    'content-type': 'application/x-www-form-urlencoded',
  }

  it('400 and no crash for garbage, 413 for a body over a mebibyte', () =>
    withSandbox({}, async (sandbox, stripe) => {
      const deep = `amount${'[a]'.repeat(50)}=1`
      const many = Array.from({ length: 2000 }, (_, index) => `p${index}=1`).join('&')
      const bodies = [
        deep,
        many,
        '%%%=%zz',
        'amount[]=1&amount[]=2&currency=gbp',
        '__proto__[amount]=5',
        'constructor=1',
        'metadata=1&amount=500&currency=gbp',
        '\u0000\uFFFD=',
      ]
      for (const body of bodies) {
        const url = `${sandbox.url}/v1/payment_intents`
        const answer = await fetch(url, { method: 'POST', headers, body })
        expect({ body: body.slice(0, 40), status: answer.status }).toMatchObject({ status: 400 })
      }
      const large = await fetch(`${sandbox.url}/v1/payment_intents`, {
        method: 'POST',
        headers,
        body: 'a'.repeat(1024 * 1024 + 1),
      })
      expect(large.status).toBe(413)
      expect((await stripe.balance.retrieve()).object).toBe('balance')
    }))

  it('421 for a name that was rebound to loopback, 415 for a control form from elsewhere', () =>
    withSandbox({}, async (sandbox) => {
      const form = await fetch(`${sandbox.url}/_sandbox/webhooks/pause`, { method: 'POST' })
      expect(form.status).toBe(415)
      const { request } = await import('node:http')
      const status = await new Promise((resolve) => {
        const options = { headers: { host: 'evil.example' }, host: '127.0.0.1', port: sandbox.port }
        request(options, (response) => resolve(response.resume().statusCode)).end()
      })
      expect(status).toBe(421)
    }))
})
