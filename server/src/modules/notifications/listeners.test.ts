import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  bookMoney,
  bought,
  changeStatus,
  confirm,
  openShop,
  payAgain,
  payInBrowser,
  price,
  runScheduled,
  settleAll,
  type Purchase,
  type Shop,
} from '../../../test/journeys/shop.ts'
import { startTestApp, type Reply, type TestApp } from '../../../test/support/app.ts'
import { pdf } from '../../../test/support/sample-files.ts'
import { upload } from '../../../test/support/upload.ts'
import { startMailServer, type MailServer } from '../../../test/support/mail-server.ts'
import { newId } from '../../kernel/id.ts'
import { openMail } from '../../platform/mail.ts'
import { recordMailsAsSent } from './index.ts'

const sender = { name: 'Fairwater', address: 'office@fairwater.example' }

let server: MailServer
let app: TestApp
let shop: Shop

beforeAll(async () => {
  server = await startMailServer()
  app = await startTestApp({ mail: openMail({ url: server.url, sender, restMs: 0 }) })
  shop = await openShop(app)
})
afterAll(async () => {
  await app.close()
  await server.close()
})
beforeEach(async () => {
  await settle()
  seen = server.mails.length
})

let seen = 0

/** Everything that was announced is heard, and every mail that is due is sent. */
async function settle(): Promise<void> {
  await settleAll(shop)
  await runScheduled(shop, 'deliver-due-notifications')
  await settleAll(shop)
}

/** What has arrived since the test began, as `address: subject`. */
async function arrived(): Promise<string[]> {
  await settle()
  return server.mails
    .slice(seen)
    .map(({ to, parsed }) => `${to.join()}: ${parsed.subject ?? ''}`)
    .toSorted()
}

function textOf(subject: RegExp): string {
  const found = server.mails.slice(seen).find(({ parsed }) => subject.test(parsed.subject ?? ''))
  return found?.parsed.text ?? ''
}

async function work(route: `${string} /${string}`, body: unknown): Promise<Reply['body']> {
  const reply = await app.request(route, { token: await app.as('admin'), body })
  expect(reply.status, JSON.stringify(reply.body)).toBeLessThan(300)
  return reply.body
}

describe('an order', () => {
  test('that a guest pays at once: received, paid, begun; each once', async () => {
    const { order } = await bought(shop, { paymentMethod: 'pm_card_visa' })
    expect(await arrived()).toEqual([
      `guest@example.com: Payment received for order ${order.number}`,
      `guest@example.com: We have received your order ${order.number}`,
      `guest@example.com: Work on your order ${order.number} has begun`,
    ])
    expect(textOf(/^We have received/)).toMatch(/^Company formation: £149\.00\nTotal: £149\.00$/m)
    expect(textOf(/^Payment/)).toContain('Your order is paid in full.')
    expect(textOf(/^Payment/)).toContain(`http://localhost:3000/portal/orders/${order.number}`)
    expect(textOf(/^Work/)).toMatch(/Expected by: \d+ \w+ \d{4}/)
  })

  test('confirmed while the webhook arrives: one mail of each kind', async () => {
    const purchase = await bought(shop, { as: 'racer' })
    await payInBrowser(shop, purchase.payment.clientSecret, 'pm_card_visa')
    await Promise.all(Array.from({ length: 8 }, () => confirm(shop, purchase)))
    const subjects = (await arrived()).filter((mail) => mail.startsWith('racer@'))
    expect(new Set(subjects).size).toBe(subjects.length)
    expect(subjects.filter((mail) => mail.includes('Payment received')).length).toBe(1)
  })

  test('is placed and paid though the mail server is down; its mails come later', async () => {
    // An open connection may be there from before: it ends at the first word.
    server.trouble('from', 'drop')
    const { order } = await bought(shop, { paymentMethod: 'pm_card_visa' })
    expect(order.status).toBe('confirmed')
    expect(await arrived()).toEqual([])
    server.wellAgain()
    app.advance(60_000)
    expect((await arrived()).length).toBe(3)
  })

  test('paid by transfer in two parts: told what is still to be paid', async () => {
    const { customerId, email } = await app.asCustomer('parts')
    const order = await work('POST /api/orders', {
      customerId,
      items: [{ serviceId: shop.serviceId, quantity: 1 }],
    })
    await bookMoney(shop, `POST /api/orders/${order.id}/payments`, 4900)
    const mails = await arrived()
    expect(mails).toContain(`${email}: Payment received for order ${order.number}`)
    expect(textOf(/^Payment/)).toContain('Still to be paid: £100.00')
  })

  test('whose money goes back: one mail for each refund, once it has succeeded', async () => {
    const { orderId, order } = await bought(shop, { paymentMethod: 'pm_card_visa' })
    await settle()
    seen = server.mails.length
    await bookMoney(shop, `POST /api/orders/${orderId}/refunds`, 4900)
    expect(await arrived()).toEqual([`guest@example.com: Your refund for order ${order.number}`])
    expect(textOf(/refund/)).toContain('Refunded: £49.00')
    await changeStatus(shop, orderId, { status: 'cancelled', refund: 'full' })
    expect((await arrived()).length).toBe(2)
  })
})

describe('a payment that fails', () => {
  test('is told once, after ten minutes, however many cards were declined', async () => {
    const purchase = await bought(shop, { paymentMethod: 'pm_card_chargeDeclined' })
    for (let n = 0; n < 3; n += 1) {
      await payAgain(shop, purchase, {
        paymentMethod:
          n % 2 === 0 ? 'pm_card_visa_chargeDeclinedInsufficientFunds' : 'pm_card_chargeDeclined',
      })
    }
    const { number } = purchase.order
    const failed = `guest@example.com: Your payment for order ${number} did not go through`
    expect(await arrived()).not.toContain(failed)
    app.advance(10 * 60_000)
    expect((await arrived()).filter((mail) => mail === failed).length).toBe(1)
    expect(textOf(/did not go through/)).toContain(`To be paid: £${(price / 100).toFixed(2)}`)
    expect(textOf(/did not go through/)).toContain('Kept for you until:')
  })

  test('is not told where another card was good', async () => {
    const purchase = await bought(shop, { paymentMethod: 'pm_card_chargeDeclined' })
    await settle()
    await payAgain(shop, purchase, { paymentMethod: 'pm_card_visa' })
    app.advance(10 * 60_000)
    expect((await arrived()).filter((mail) => mail.includes('did not go through'))).toEqual([])
    const [row] = await app.sql(
      "select status, last_error from notifications where template = 'payment_failed' and about_id = $1",
      [purchase.orderId],
    )
    expect(row).toEqual({
      status: 'suppressed',
      last_error: 'There was no reason left for it.',
    })
  })
})

describe('a bank debit that fails', () => {
  const failed = (mails: string[]) => mails.filter((mail) => mail.includes('did not go through'))

  async function debited(): Promise<{ purchase: Purchase; fail: () => Promise<void> }> {
    const purchase = await bought(shop, { paymentMethod: 'pm_card_chargeDeclined' })
    await settle()
    return {
      purchase,
      fail: async () => {
        await payAgain(shop, purchase, { paymentMethod: 'pm_bacsDebit_insufficientFunds' })
        app.advance(10 * 60_000)
        await settle()
        app.sandbox.settlePayment(purchase.payment.providerRef)
        await settle()
        app.advance(10 * 60_000)
      },
    }
  }

  test('is told though the mail of the card before it was dropped', async () => {
    const { purchase, fail } = await debited()
    await fail()
    expect(failed(await arrived()).length).toBe(1)
    const rows = await app.sql(
      `select status, last_error from notifications
       where template = 'payment_failed' and about_id = $1 order by created_at`,
      [purchase.orderId],
    )
    expect(rows.at(-1)).toEqual({ status: 'sent', last_error: null })
  })

  test('is told though the card before it was told of, on another day', async () => {
    const { fail } = await debited()
    app.advance(10 * 60_000)
    expect(failed(await arrived()).length).toBe(1)
    app.advance(24 * 3_600_000)
    await fail()
    expect(failed(await arrived()).length).toBe(2)
  })
})

describe('a case', () => {
  test('of a customer’s question: opened, answered with the words, resolved', async () => {
    const { token, email } = await app.asCustomer('asker')
    const opened = await app.request('POST /api/crm', {
      token,
      body: {
        subject: 'A question',
        description: 'How?',
        contact: { name: 'Somebody else', email: 'victim@example.com' },
      },
    })
    const { id, number } = opened.body
    await work(`POST /api/crm/${id}/notes`, { body: 'Like <this> & so.', visibility: 'public' })
    await work(`POST /api/crm/${id}/resolve`, { outcome: 'completed', summary: 'It was shown.' })
    const mails = (await arrived()).filter((mail) => !/Welcome|confirm your e-mail/.test(mail))
    expect(mails).toEqual([
      `${email}: New message about ${number}: A question`,
      `${email}: Resolved: ${number}, A question`,
      `${email}: We have received your request ${number}`,
    ])
    expect(textOf(/^New message/)).toContain('admin wrote to you:\n\n> Like <this> & so.')
    expect(textOf(/^Resolved/)).toContain('> It was shown.')
  })

  test('of the public form: nothing to the typed address before a person has answered', async () => {
    const contact = { name: 'BUY at http://spam.example', email: 'stranger@example.com' }
    const { body } = await app.request('POST /api/crm', {
      body: { subject: 'Hello', description: 'There', contact },
    })
    expect(await arrived()).toEqual([])
    const list = await app.request('GET /api/crm?origin=contact', { token: await app.as('admin') })
    const { id } = list.body.data.find(({ number }: Reply['body']) => number === body.number)
    await work(`POST /api/crm/${id}/resolve`, { outcome: 'declined', summary: 'Spam.' })
    expect(await arrived()).toEqual([])
    await work(`PATCH /api/crm/${id}/status`, { status: 'open' })
    await work(`POST /api/crm/${id}/notes`, { body: 'Who are you?', visibility: 'public' })
    expect(await arrived()).toEqual([
      `stranger@example.com: New message about ${body.number}: Hello`,
    ])
    expect(textOf(/^New message/)).not.toContain('spam.example')
  })

  test('of a guest, to an address that anybody may have typed: no word of advertisement', async () => {
    const placed = await app.request('POST /api/checkout/process', {
      body: {
        items: [{ serviceId: shop.serviceId, quantity: 1 }],
        customer: { email: 'victim@example.com', name: 'BUY at http://spam.example' },
      },
    })
    const { orderToken } = placed.body
    const asked = await app.request('POST /api/crm', {
      orderToken,
      body: { subject: 'Look at www.spam.example', description: 'spam.example' },
    })
    expect(asked.status, JSON.stringify(asked.body)).toBe(201)
    expect(await arrived()).toEqual([
      `victim@example.com: We have received your order ${placed.body.order.number}`,
      `victim@example.com: We have received your request ${asked.body.number}`,
    ])
    for (const { raw, parsed } of server.mails.slice(seen)) {
      expect(raw + (parsed.text ?? '') + parsed.html).not.toContain('spam.example')
    }
  })

  test('that staff write down: nothing', async () => {
    const { customerId } = await app.asCustomer('asker')
    await work('POST /api/crm', { subject: 'By phone', description: 'Called.', customerId })
    expect(await arrived()).toEqual([])
  })
})

describe('a document', () => {
  async function review(key: string, decision: Record<string, string>): Promise<void> {
    await work(`PATCH /api/documents/${key}`, decision)
  }

  test('that is rejected: told with the reason and where to send it again', async () => {
    const { token, email } = await app.asCustomer('sender')
    const { order } = await bought(shop, { as: 'sender', paymentMethod: 'pm_card_visa' })
    const sent = await upload(app, pdf('passport "1".pdf'), {
      token,
      fields: { orderId: order.id },
    })
    expect(sent.status, JSON.stringify(sent.body)).toBe(201)
    await settle()
    seen = server.mails.length
    await review(sent.body.key, { status: 'rejected', reason: 'The second line is <cut> off.' })
    expect(await arrived()).toEqual([`${email}: Please send a document again`])
    const text = textOf(/document/)
    expect(text).toContain('> The second line is <cut> off.')
    expect(text).toContain(`http://localhost:3000/portal/orders/${order.number}`)
  })

  test('that a scan rejects: named only where the name is no advertisement', async () => {
    const { order } = await bought(shop, { as: 'sender', paymentMethod: 'pm_card_visa' })
    const { token } = await app.asCustomer('sender')
    await settle()
    seen = server.mails.length
    for (const name of ['Look at www.spam.example.pdf', 'scan_1.pdf']) {
      const fields = { orderId: order.id }
      const { key } = (await upload(app, pdf(name), { token, fields })).body
      await app.sql("update documents set status = 'rejected', reason = 'malware' where key = $1", [
        key,
      ])
      const [document] = await app.sql('select id from documents where key = $1', [key])
      const told = {
        id: newId('evt', app.now()),
        rootId: document?.['id'],
        data: { cause: 'malware' },
      }
      for (const listener of app.app.events.after.get('document.rejected') ?? []) {
        await listener.run(app.systemContext(), told as never)
      }
    }
    expect((await arrived()).length).toBe(2)
    const texts = server.mails.slice(seen).map(({ raw, parsed }) => raw + parsed.text)
    expect(texts.filter((text) => text.includes('spam.example'))).toEqual([])
    expect(texts.filter((text) => text.includes('Document: scan_1.pdf')).length).toBe(1)
  })

  test('that is accepted, or that customers do not see: nothing', async () => {
    const { order } = await bought(shop, { as: 'sender' })
    const token = await app.as('admin')
    const keep = async (visibility: string): Promise<string> => {
      const fields = { orderId: order.id, visibility }
      return (await upload(app, pdf(), { token, fields })).body.key
    }
    const [shown, internal] = [await keep('customer'), await keep('internal')]
    await settle()
    seen = server.mails.length
    await review(shown, { status: 'accepted' })
    await review(internal, { status: 'rejected', reason: 'For our eyes.' })
    expect(await arrived()).toEqual([])
  })
})

describe('an event that is heard again and again', () => {
  test('makes one mail, by twenty at once and on two nodes', async () => {
    const beside = await startTestApp({ beside: app })
    const { orderId } = await bought(shop, { as: 'repeated' })
    await settle()
    const [placed] = await app.sql(
      `select id, root_id as "rootId", root_version as "rootVersion", type, at,
         actor_id as "actorId", actor_kind as "actorKind", data
       from events where root_id = $1 and type = 'order.placed'`,
      [orderId],
    )
    const listenersOf = (node: TestApp) => node.app.events.after.get('order.placed') ?? []
    await app.sql('delete from notifications where about_id = $1', [orderId])
    await Promise.all(
      Array.from({ length: 20 }, async (_, n) => {
        const node = n % 2 === 0 ? app : beside
        for (const listener of listenersOf(node)) {
          if (listener.name.startsWith('mail-')) {
            await listener.run(node.systemContext(), placed as never)
          }
        }
      }),
    )
    const rows = await app.sql('select id from notifications where about_id = $1', [orderId])
    expect(rows.length).toBe(1)
    expect((await arrived()).filter((mail) => mail.includes('received your order')).length).toBe(2)
    await beside.close()
  })
})

describe('what a demo tells of the past', () => {
  test('stands in the outbox as sent, and no server hears of it', async () => {
    await bought(shop, { as: 'demo', paymentMethod: 'pm_card_visa' })
    await recordMailsAsSent(app.systemContext())
    expect(await arrived()).toEqual([])
    const { email } = await app.asCustomer('demo')
    const list = await app.request(`GET /api/notifications?to=${email}`, {
      token: await app.as('admin'),
    })
    const kinds = list.body.data.map(
      ({ template, status }: Reply['body']) => `${template} ${status}`,
    )
    expect(kinds.toSorted()).toContain('order_received sent')
    expect(kinds.every((kind: string) => kind.endsWith(' sent'))).toBe(true)
  })
})

describe('an internal note', () => {
  const canary = 'canary-7f3a'

  test('is in no mail and in no reply that a customer can see', async () => {
    const { token } = await app.asCustomer('watched')
    const purchase = await bought(shop, { as: 'watched', paymentMethod: 'pm_card_visa' })
    await settle()
    const whole = await app.request(`GET /api/orders/${purchase.orderId}`, { token })
    const caseId = whole.body.case.id
    await work(`POST /api/crm/${caseId}/notes`, { body: canary, visibility: 'internal' })
    await work(`PATCH /api/crm/${caseId}`, { tags: [canary], priority: 'urgent' })
    await work(`PATCH /api/crm/${caseId}/status`, { status: 'open', comment: canary })
    await work(`POST /api/crm/${caseId}/notes`, { body: 'To the customer.', visibility: 'public' })
    await app.request(`POST /api/crm/${caseId}/notes`, {
      token,
      body: { body: 'From the customer.', visibility: 'public' },
    })
    await work(`POST /api/crm/${caseId}/resolve`, { outcome: 'completed', summary: 'Done.' })
    await work(`PATCH /api/crm/${caseId}/status`, { status: 'open', comment: canary })
    await changeStatus(shop, purchase.orderId, { status: 'in_progress' })
    await changeStatus(shop, purchase.orderId, { status: 'completed' })
    await settle()

    const replies = []
    for (const route of [
      `GET /api/orders/${purchase.orderId}`,
      'GET /api/orders',
      `GET /api/crm/${caseId}`,
      'GET /api/crm',
      `GET /api/crm?q=${canary}`,
    ] as const) {
      const reply = await app.request(route, { token })
      expect(reply.status).toBe(200)
      replies.push(JSON.stringify(reply.body))
    }
    const mails = server.mails.map(({ raw, parsed }) => raw + (parsed.text ?? '') + parsed.html)
    expect(mails.length).toBeGreaterThan(5)
    expect([...replies, ...mails].filter((text) => text.includes(canary))).toEqual([])
    const [stored] = await app.sql(
      'select count(*)::int as count from notifications n where position($1 in n::text) > 0',
      [canary],
    )
    expect(stored).toEqual({ count: 0 })
    const seenByStaff = await app.request(`GET /api/crm/${caseId}`, {
      token: await app.as('admin'),
    })
    expect(JSON.stringify(seenByStaff.body)).toContain(canary)
  })
})
