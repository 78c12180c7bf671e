import { describe, expect, it } from 'vitest'
import type { Chaos, Sandbox } from '../src/index.ts'
import { CARD_PAYMENT, clientOf, startReceiver, withSandbox } from './support.ts'

const CALLS = 60

/** What becomes of so many requests of one operation, one after the other. */
async function statusesUnder(chaos: Chaos): Promise<number[]> {
  return withSandbox({}, async (sandbox) => {
    sandbox.setChaos(chaos)
    const statuses: number[] = []
    for (let nth = 0; nth < CALLS; nth += 1) statuses.push(await statusOf(sandbox, nth))
    return statuses
  })
}

/** 0 where the connection was cut. Each call has a connection of its own, which nobody repeats. */
async function statusOf(sandbox: Sandbox, nth: number): Promise<number> {
  const headers = { authorization: 'Bearer sk_test_1', 'idempotency-key': `call:${nth}` }
  const answer = fetch(`${sandbox.url}/v1/customers`, { method: 'POST', headers })
  return await answer.then(
    ({ status }) => status,
    () => 0,
  )
}

describe('chaos in requests', () => {
  it('fares alike with one seed, otherwise with another', async () => {
    const requests = { fail: 0.2, cut: 0.2, limit: 0.2 }
    const first = await statusesUnder({ seed: 1, requests })
    expect(await statusesUnder({ seed: 1, requests })).toEqual(first)
    expect(await statusesUnder({ seed: 2, requests })).not.toEqual(first)
    expect(new Set(first)).toEqual(new Set([0, 200, 429, 500, 502, 503]))
    const struck = first.filter((status) => status !== 200).length
    // One in two is to be struck: 1 - 0.8³.
    expect(struck / CALLS).toBeGreaterThan(0.3)
    expect(struck / CALLS).toBeLessThan(0.7)
  })

  it('does what a fault does: some failures happened, and some stay under their key', () =>
    withSandbox({}, async (sandbox) => {
      sandbox.setChaos({ seed: 3, requests: { fail: 1 } })
      const fates = new Set<string>()
      for (let nth = 0; nth < 40; nth += 1) {
        const before = sandbox.counts().customer
        const status = await statusOf(sandbox, nth)
        const happened = sandbox.counts().customer > before
        const report = sandbox.chaos()
        sandbox.setChaos({ seed: 0 })
        const again = await statusOf(sandbox, nth)
        fates.add(`${status}, ${happened ? 'happened' : 'nothing'}, then ${again}`)
        sandbox.setChaos({ ...report.chaos, seed: nth })
      }
      expect([...fates].toSorted()).toEqual([
        '500, happened, then 500',
        '500, nothing, then 500',
        '502, happened, then 200',
        '503, nothing, then 200',
      ])
    }))

  it('counts what has struck, and ends with a seed alone', () =>
    withSandbox({}, async (sandbox) => {
      sandbox.setChaos({ seed: 1, requests: { slow: 1, maxDelayMs: 1, limit: 1 } })
      expect(await statusOf(sandbox, 1)).toBe(429)
      expect(sandbox.chaos().struck).toEqual({ requests: { delay: 1, answer: 1 }, webhooks: {} })
      sandbox.setChaos({ seed: 1 })
      expect(await statusOf(sandbox, 1)).toBe(200)
      expect(sandbox.chaos()).toEqual({
        chaos: { seed: 1 },
        struck: { requests: {}, webhooks: {} },
      })
    }))
})

describe('chaos in webhooks', () => {
  it('drops, doubles, swaps and delays; what is not dropped arrives', async () => {
    const receiver = await startReceiver()
    const target = { webhookUrl: receiver.url, webhookSecrets: ['whsec_one'] }
    await withSandbox(target, async (sandbox) => {
      const chances = { drop: 0.2, duplicate: 0.3, reorder: 0.2, delay: 0.2, maxDelayMs: 20 }
      sandbox.setChaos({ seed: 5, webhooks: chances })
      const stripe = clientOf(sandbox)
      const pays = { ...CARD_PAYMENT, confirm: true, payment_method: 'pm_card_visa' } as const
      for (let nth = 0; nth < 30; nth += 1) await stripe.paymentIntents.create(pays)
      await sandbox.webhooksSettled()
      const { webhooks } = sandbox.chaos().struck
      const deliveries = sandbox.listDeliveries(1000)
      const dropped = deliveries.filter(({ state }) => state === 'dropped')
      expect(dropped).toHaveLength(webhooks.drop ?? 0)
      for (const effect of ['drop', 'duplicate', 'reorder', 'delay'] as const) {
        expect(webhooks[effect], effect).toBeGreaterThan(0)
      }
      const arrived = receiver.received.map(({ event }) => event.id)
      expect(new Set(arrived).size).toBe(deliveries.length - dropped.length)
      expect(arrived.length - new Set(arrived).size).toBe(webhooks.duplicate)
    })
    await receiver.close()
  })
})

describe('PUT /_sandbox/chaos', () => {
  const put = async (sandbox: Sandbox, body: unknown) => {
    const answer = await fetch(`${sandbox.url}/_sandbox/chaos`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    return { status: answer.status, body: await answer.json() }
  }

  it('200 sets it, and GET shows it', () =>
    withSandbox({}, async (sandbox) => {
      const chaos = { seed: 9, requests: { fail: 0.25 }, webhooks: { drop: 1, maxDelayMs: 5 } }
      const { status, body } = await put(sandbox, chaos)
      expect([status, body]).toEqual([200, { chaos, struck: { requests: {}, webhooks: {} } }])
      const seen = await fetch(`${sandbox.url}/_sandbox/chaos`)
      expect(await seen.json()).toEqual(body)
    }))

  it.each([
    ['no seed', { requests: { fail: 0.1 } }],
    ['a seed of more than 32 bits', { seed: 2 ** 32 }],
    ['a probability over 1', { seed: 1, requests: { fail: 1.1 } }],
    ['a probability below 0', { seed: 1, webhooks: { drop: -0.1 } }],
    ['a delay over ten minutes', { seed: 1, webhooks: { maxDelayMs: 600_001 } }],
    ['an unknown chance', { seed: 1, requests: { burn: 1 } }],
  ])('400 for %s, and the chaos stays', (_what, chaos) =>
    withSandbox({}, async (sandbox) => {
      expect((await put(sandbox, chaos)).status).toBe(400)
      expect(sandbox.chaos().chaos).toEqual({ seed: 0 })
    }),
  )
})
