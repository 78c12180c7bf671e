import { afterAll, beforeAll, expect } from 'vitest'
import { minuteMs } from '../../../src/kernel/time.ts'
import { keepMail, openMail, type Mail } from '../../../src/platform/mail.ts'
import { bought, openShop, runScheduled, settleAll, type Shop } from '../../journeys/shop.ts'
import { startTestApp, type TestApp } from '../../support/app.ts'
import {
  startMailServer,
  type MailServer,
  type Stage,
  type Trouble,
} from '../../support/mail-server.ts'
import { promise } from '../promise.ts'

const sender = { name: 'Fairwater', address: 'office@fairwater.example' }

/** Whoever sends comes by this, so that a server can go and another be there. */
let way: Mail = keepMail(sender)
let app: TestApp
let shop: Shop
let server: MailServer

beforeAll(async () => {
  server = await startMailServer()
  app = await startTestApp({
    mail: new Proxy({} as Mail, { get: (_, name) => Reflect.get(way, name) }),
  })
  shop = await openShop(app)
  await settleAll(shop)
})
afterAll(async () => {
  await app.close()
  await server.close()
})

const troubles: readonly (readonly [Stage | 'gone', Trouble])[] = [
  ['gone', 'drop'],
  ['connect', 'drop'],
  ['connect', 'stall'],
  ['from', 'defer'],
  ['rcpt', 'defer'],
  ['data', 'defer'],
  ['data', 'drop'],
  ['answer', 'drop'],
  ['answer', 'stall'],
]

promise(
  39,
  'whatever the mail server does, the order stands and its mail is sent later',
  async (proof) => {
    let twice = 0
    for (const [stage, trouble] of troubles) {
      const label = `${stage}: ${trouble}`
      await app.sql('delete from notifications')
      const taken = await startMailServer()
      const url = stage === 'gone' ? await addressOfNobody() : taken.url
      if (stage !== 'gone') taken.trouble(stage, trouble)
      way = openMail({ url, sender, restMs: 0, deadlineMs: 800 })
      await bought(shop, { paymentMethod: 'pm_card_visa' })
      await app.runJobs()
      await way.close()

      taken.wellAgain()
      way = openMail({ url: taken.url, sender, restMs: 0, deadlineMs: 5000 })
      await untilSent(label)
      const mails = await listMails()
      expect([label, mails.map(({ status }) => status)]).toEqual([label, mails.map(() => 'sent')])
      // A duplicate is recognised by its id.
      const received = taken.mails.map(({ parsed }) => parsed.messageId)
      expect([label, [...new Set(received)].toSorted()]).toEqual([
        label,
        mails.map(({ messageId }) => `<${messageId.replaceAll(/[<>]/g, '')}>`).toSorted(),
      ])
      twice += received.length - mails.length
      await way.close()
      await taken.close()
    }
    expect(twice).toBeGreaterThan(0)
    proof.measured(`${troubles.length} troubles, ${troubles.length} orders 201, every mail sent`)
    proof.measured(`${twice} duplicates after lost answers, each under the first one's Message-ID`)
  },
)

promise(
  39,
  'a mail that is refused for good, and a server that is gone, can be seen',
  async (proof) => {
    await app.sql('delete from notifications')
    server.trouble('rcpt', 'refuse')
    way = openMail({ url: server.url, sender, restMs: 0, deadlineMs: 800 })
    await bought(shop, { paymentMethod: 'pm_card_visa' })
    await app.runJobs()
    const token = await app.as('manager')
    const { body } = await app.request('GET /api/notifications?status=failed', { token })
    expect(body.data.length).toBe((await listMails()).length)
    expect(body.data[0].lastError).toBe('The mail server said: 550 5.1.1 No such mailbox')
    await way.close()
    way = openMail({ url: await addressOfNobody(), sender, restMs: 0, deadlineMs: 800 })
    await app.app.instruments.health.lookOutside()
    const health = await app.request('GET /api/system/health', { token: await app.as('admin') })
    expect([health.status, health.body.checks.mail[0].status]).toEqual([200, 'warn'])
    await way.close()
    proof.measured(
      `${body.data.length} refused mails listed as failed, health warns of a server that is gone`,
    )
  },
)

/** As the minutes pass in which the outbox tries again. */
async function untilSent(label: string): Promise<void> {
  for (let minute = 0; minute < 5; minute += 1) {
    app.advance(2 * minuteMs)
    await runScheduled(shop, 'deliver-due-notifications')
    await app.runJobs()
    const open = (await listMails()).filter(({ status }) => status !== 'sent')
    if (open.length === 0) return
  }
  throw new Error(`${label}: not sent within ten minutes`)
}

interface SeenMail {
  readonly status: string
  readonly messageId: string
}

async function listMails(): Promise<SeenMail[]> {
  const rows = await app.sql('select status, message_id from notifications order by id')
  expect(rows.length).toBeGreaterThan(0)
  return rows.map((row) => ({
    status: String(row['status']),
    messageId: String(row['message_id']),
  }))
}

/** A port of loopback where a server was. */
async function addressOfNobody(): Promise<string> {
  const gone = await startMailServer()
  await gone.close()
  return gone.url
}
