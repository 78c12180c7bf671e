import path from 'node:path'
import { afterAll, beforeAll, expect } from 'vitest'
import { createStaffUser } from '../../src/modules/identity/index.ts'
import { migrate } from '../../src/platform/migrate.ts'
import { startTestApp, testPassword, type Reply, type TestApp } from '../support/app.ts'
import { codeOf } from '../support/authenticator.ts'
import { fillShelf, settle, type Holdings } from '../support/holdings.ts'
import { repository } from '../support/sources.ts'
import { promise } from './promise.ts'

let app: TestApp
let ada: Holdings
let adminId: string
let colleagueId: string

beforeAll(async () => {
  app = await startTestApp()
  const settlers = [{ name: 'ada', kind: 'customer' }] as const
  ada = (await settle(app, await fillShelf(app), settlers))[0] as Holdings
  const me = await app.request('GET /api/auth/me', { token: await app.as('admin') })
  adminId = me.body.id
  const details = { email: 'kim@bureau.example', password: testPassword, name: 'Kim' } as const
  colleagueId = (await createStaffUser(app.systemContext(), { ...details, role: 'agent' })).id
  const { email, password } = details
  const signedIn = await app.request('POST /api/auth/admin/login', { body: { email, password } })
  const token = signedIn.body.accessToken
  const { body } = await app.request('POST /api/auth/admin/mfa/setup', { token })
  const code = codeOf(body.secret, app.now())
  await app.request('POST /api/auth/admin/mfa/activate', { token, body: { code } })
}, 120_000)
afterAll(async () => {
  await app.close()
})

interface Act {
  readonly route: () => `${string} /${string}`
  readonly body?: object
  readonly events: readonly string[]
}

const money = (amount: number): object => ({ amount, currency: 'GBP' })

/** What an admin does that somebody may ask about later, in the order in which it can be done. */
const acts: Readonly<Record<string, Act>> = {
  'writing a payment down': {
    route: () => `POST /api/orders/${ada.openOrderId}/payments`,
    body: { amount: money(14_900), reference: 'Bank transfer' },
    events: ['payment.succeeded', 'order.confirmed'],
  },
  'giving money back': {
    route: () => `POST /api/orders/${ada.openOrderId}/refunds`,
    body: { amount: money(1000), reason: 'Goodwill' },
    events: ['refund.requested'],
  },
  'moving an order on': {
    route: () => `PATCH /api/orders/${ada.orderId}/status`,
    body: { status: 'in_progress' },
    events: ['order.status_changed'],
  },
  'moving a case on': {
    route: () => `PATCH /api/crm/${ada.caseId}/status`,
    body: { status: 'open' },
    events: ['case.status_changed'],
  },
  'reading a document': {
    route: () => `GET /api/documents/${ada.documentKey}`,
    events: ['document.read'],
  },
  'making a link to a document': {
    route: () => `POST /api/documents/${ada.documentKey}/link`,
    body: { expiresInSeconds: 60 },
    events: ['document.shared'],
  },
  'reading a mail': {
    route: () => `GET /api/notifications/${ada.mailId}`,
    events: ['notification.read'],
  },
  'writing to somebody': {
    route: () => 'POST /api/notifications/email',
    body: { to: 'ada@customer.example', subject: 'A word', text: 'Hello.' },
    events: ['notification.requested'],
  },
  'changing a customer': {
    route: () => `PATCH /api/customers/${ada.customerId}`,
    body: { phone: '+44 20 7946 0000' },
    events: ['customer.updated'],
  },
  'inviting a colleague': {
    route: () => 'POST /api/users',
    body: { email: 'new@bureau.example', name: 'New', role: 'viewer' },
    events: ['user.created', 'user.invited'],
  },
  'taking a second factor off': {
    route: () => `DELETE /api/users/${colleagueId}/mfa`,
    events: ['user.second_factor_removed'],
  },
  'giving another role': {
    route: () => `PATCH /api/users/${colleagueId}`,
    body: { role: 'admin' },
    events: ['user.role_changed'],
  },
  'shutting a login': {
    route: () => `PATCH /api/users/${colleagueId}`,
    body: { active: false },
    events: ['user.deactivated'],
  },
  'opening it again': {
    route: () => `PATCH /api/users/${colleagueId}`,
    body: { active: true },
    events: ['user.reactivated'],
  },
  'changing what is sold': {
    route: () => 'POST /api/services',
    body: { name: 'Notary', price: money(100) },
    events: ['service.created'],
  },
  'deleting a document': {
    route: () => `DELETE /api/documents/${ada.documentKey}`,
    events: ['document.deleted'],
  },
}

promise(
  58,
  'what staff do leaves who did it, when, to what and by which request',
  async (proof) => {
    const token = await app.as('admin')
    let events = 0
    for (const [index, [name, act]] of Object.entries(acts).entries()) {
      const requestId = `act-${index}`
      const before = app.now().getTime()
      const { status, body } = await app.request(act.route(), {
        token,
        ...(act.body ? { body: act.body } : {}),
        headers: { 'x-request-id': requestId },
      })
      expect([name, status < 300], JSON.stringify(body)).toEqual([name, true])
      const trail: Reply = await app.request(`GET /api/events?requestId=${requestId}`, { token })
      const written = trail.body.data as readonly Record<string, never>[]
      for (const type of act.events) {
        const event = written.find((one) => one['type'] === type)
        expect([name, type, event], JSON.stringify(written)).toMatchObject([
          name,
          type,
          { requestId, actor: { id: adminId, kind: 'staff', name: 'admin' } },
        ])
        const at = Date.parse(String(event?.['at']))
        expect(at).toBeGreaterThanOrEqual(before)
        expect(at).toBeLessThanOrEqual(app.now().getTime())
        events += 1
      }
    }
    const [row] = await app.sql(`select data from events where type = 'user.role_changed'`)
    expect(row).toEqual({ data: { from: 'agent', to: 'admin' } })
    proof.measured(
      `${Object.keys(acts).length} acts, ${events} events with actor, instant and request`,
    )
  },
)

promise(58, 'a use-case that fails leaves neither the act nor the event', async (proof) => {
  const token = await app.as('admin')
  const refused = [
    [`POST /api/orders/${ada.openOrderId}/refunds`, { amount: money(999_999), reason: 'Too much' }],
    [`PATCH /api/users/${adminId}`, { role: 'viewer' }],
    [`PATCH /api/orders/${ada.orderId}/status`, { status: 'pending' }],
  ] as const
  for (const [route, body] of refused) {
    const headers = { 'x-request-id': 'refused-act' }
    const reply = await app.request(route, { token, body, headers })
    expect([route, reply.status >= 400]).toEqual([route, true])
  }
  expect(await app.sql(`select id from events where request_id = 'refused-act'`)).toEqual([])
  proof.measured(`${refused.length} refused acts, 0 events`)
})

const changes = [
  `update events set actor_id = 'usr_nobody'`,
  `update events set actor_id = null where type = 'user.role_changed'`,
  `delete from events where type = 'refund.requested'`,
  'delete from events',
  'truncate events',
]

promise(
  58,
  'the trail cannot be altered: not by the server, nor where one role does all',
  async (proof) => {
    const count = 'select count(*)::int as events from events'
    const [before] = await app.sql(count)
    for (const change of changes) {
      await expect(app.db.driver.query(change), change).rejects.toMatchObject({ code: '42501' })
    }
    const url = app.database.ownerUrl
    const directory = path.join(repository, 'server/migrations')
    await migrate({ ownerUrl: url, serverUrl: url, directory, progress: () => undefined })
    for (const change of changes) {
      await expect(app.sql(change), change).rejects.toMatchObject({ code: '42501' })
    }
    expect(await app.sql(count)).toEqual([before])
    proof.measured(`${changes.length} statements by the serving role and by the owner, all 42501`)
  },
)
