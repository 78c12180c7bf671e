import { afterAll, beforeAll, expect } from 'vitest'
import { staffRoles } from '../../src/kernel/permissions.ts'
import { modules } from '../../src/modules/index.ts'
import { startTestApp, type Reply, type RequestOptions, type TestApp } from '../support/app.ts'
import { openDesk, order } from '../support/desk.ts'
import { pdf } from '../support/sample-files.ts'
import { upload } from '../support/upload.ts'
import { sendRaw } from '../support/wire.ts'
import { promise } from './promise.ts'

const endpoints = modules.flatMap((module) => module.endpoints)
const metricsToken = 'a-token-for-the-scraper-alone-0123456789'

let app: TestApp
let actors: ReadonlyMap<string, RequestOptions>
/** Things that are there, so that what is theirs is really sent. */
let known: Readonly<Record<string, string>>

beforeAll(async () => {
  app = await startTestApp({ metricsToken })
  const desk = await openDesk(app)
  const { token } = await app.asCustomer('ada')
  const { orderId, caseId } = await order(desk, 'ada')
  const { orderToken } = await order(desk)
  const document = await upload(app, pdf(), { token, fields: { caseId } })
  known = { orders: orderId, crm: caseId, documents: document.body.key, services: desk.serviceId }
  const staff = await Promise.all(
    staffRoles.map(async (role) => [role, { token: await app.as(role) }] as const),
  )
  actors = new Map<string, RequestOptions>([
    ['nobody', {}],
    ['bad token', { token: 'eyJhbGciOiJub25lIn0.e30.' }],
    ['customer', { token }],
    ['order token', { orderToken }],
    ...staff,
  ])
})
afterAll(async () => {
  await app.close()
})

/** A request of the route that does no harm: what would write is wrong in its query. */
function harmless(method: string, path: string): `${string} /${string}` {
  const area = path.split('/')[2] ?? ''
  const address = path.replaceAll(/:\w+/g, known[area] ?? 'no-id')
  return `${method} ${address}${method === 'GET' ? '' : '?no=parameter'}` as `GET /${string}`
}

promise(75, 'what every reply carries, on each route and for each actor', async (proof) => {
  let replies = 0
  let successes = 0
  for (const { method, path, contract } of endpoints) {
    for (const [actor, credentials] of actors) {
      const { status, headers } = await app.request(harmless(method, path), credentials)
      const place = [method, path, actor, status]
      expect([...place, headers.get('x-content-type-options')]).toEqual([...place, 'nosniff'])
      expect([...place, headers.get('referrer-policy')]).toEqual([...place, 'no-referrer'])
      const policy = headers.get('content-security-policy') ?? ''
      expect([...place, policy.includes("default-src 'none'")]).toEqual([...place, true])
      expect([...place, policy.includes("frame-ancestors 'none'")]).toEqual([...place, true])
      for (const banner of ['server', 'x-powered-by', 'via', 'x-aspnet-version']) {
        expect([...place, banner, headers.get(banner)]).toEqual([...place, banner, null])
      }
      const isShared = contract.cache === 'public' && actor === 'nobody' && status === 200
      const cache = headers.get('cache-control')
      expect([...place, cache?.startsWith('public') ?? false]).toEqual([...place, isShared])
      if (!isShared) expect([...place, cache]).toEqual([...place, 'no-store'])
      expect([...place, headers.get('access-control-allow-origin')]).toEqual([...place, null])
      replies += 1
      if (status < 300) successes += 1
    }
  }
  expect(successes).toBeGreaterThan(50)
  proof.measured(
    `${endpoints.length} routes × ${actors.size} actors: ${replies} replies, ${successes} with data: ` +
      'nosniff, CSP, no banner; all but the public catalogue no-store',
  )
})

promise(75, 'CORS is a list, and nothing that looks like a member of it', async (proof) => {
  const [ours, foreign] = [
    ['http://localhost:3000', 'https://shop.example'],
    [
      'null',
      'https://evil.example',
      'http://shop.example',
      'https://shop.example:8443',
      'https://shop.example.evil.example',
      'https://evilshop.example',
      'https://sub.shop.example',
      'https://shop.exampleevil',
      'https://shopxexample',
      'https://SHOP.EXAMPLE.',
      'https://shop.example/',
      'https://shop.example https://evil.example',
      'http://localhost:3001',
      'http://localhost',
      'file://',
      '*',
      'https://',
    ],
  ]
  const { token } = await app.asCustomer('ada')
  const ask = async (origin: string): Promise<Reply[]> => [
    await app.request('GET /api/services', { headers: { origin } }),
    await app.request('GET /api/auth/me', { token, headers: { origin } }),
    await app.request('GET /api/nothing', { headers: { origin } }),
    await app.request('OPTIONS /api/orders', {
      headers: { origin, 'access-control-request-method': 'POST' },
    }),
  ]
  for (const origin of [...ours, ...foreign]) {
    for (const { headers } of await ask(origin)) {
      const allowed = headers.get('access-control-allow-origin')
      expect([origin, allowed]).toEqual([origin, ours.includes(origin) ? origin : null])
      expect(headers.get('access-control-allow-credentials')).toBe(null)
      expect(headers.get('vary') ?? '').toMatch(/origin/i)
    }
  }
  proof.measured(
    `${ours.length} origins of the list let in, ${foreign.length} others not, no credentials for any`,
  )
})

promise(75, 'pages have a policy without inline scripts', async (proof) => {
  const pages = [
    '/docs',
    '/docs/',
    '/docs/static/index.html',
    '/docs/static/swagger-initializer.js',
  ]
  let html = 0
  for (const page of pages) {
    const reply = await fetch(app.url + page)
    const policy = reply.headers.get('content-security-policy') ?? ''
    expect([page, reply.headers.get('x-content-type-options')]).toEqual([page, 'nosniff'])
    expect([page, policy]).toEqual([page, expect.stringContaining("default-src 'none'")])
    expect([page, policy]).toEqual([page, expect.stringContaining("frame-ancestors 'none'")])
    expect(policy).not.toMatch(/unsafe-(inline|eval)|script-src[^;]*(https?:|\*|data:)/)
    const text = await reply.text()
    if (!(reply.headers.get('content-type') ?? '').includes('html')) continue
    html += 1
    expect(text).not.toMatch(
      /<script(?![^>]*\bsrc=)[^>]*>\s*\S|\son\w+=|(src|href)="(https?:)?\/\//,
    )
  }
  expect(html).toBeGreaterThan(0)
  proof.measured(`${html} pages: scripts of our own host alone, none inline`)
})

promise(75, 'TRACE and its kin are refused, and figures are not public', async (proof) => {
  const methods = ['TRACE', 'TRACK', 'CONNECT', 'PROPFIND', 'DEBUG', 'PURGE', 'LINK']
  for (const method of methods) {
    for (const target of ['/api/services', '/livez', '/', '*']) {
      const secret = 'do-not-echo-me'
      const answer = await sendRaw(
        app,
        `${method} ${target} HTTP/1.1\r\nHost: a\r\nCookie: ${secret}\r\nConnection: close\r\n\r\n`,
      ).catch(() => '')
      const [, status] = /^HTTP\/1\.1 (\d{3})/.exec(answer) ?? []
      expect([method, target, status?.startsWith('4') ?? true]).toEqual([method, target, true])
      expect(answer).not.toContain(secret)
    }
  }
  const mayRead = new Set(['admin', 'manager'])
  for (const [actor, credentials] of actors) {
    const { status } = await app.request('GET /api/system/metrics', credentials)
    const expected = mayRead.has(actor) ? 200 : /nobody|bad/.test(actor) ? 401 : 403
    expect([actor, status]).toEqual([actor, expected])
  }
  const scrape = async (token: string) =>
    (await app.request('GET /api/system/metrics', { token })).status
  expect(await scrape(metricsToken)).toBe(200)
  for (const wrong of [metricsToken.slice(1), `${metricsToken}x`, metricsToken.toUpperCase()]) {
    expect(await scrape(wrong)).toBe(401)
  }
  expect((await app.request('GET /api/orders', { token: metricsToken })).status).toBe(401)
  proof.measured(
    `${methods.length} methods refused, nothing echoed; figures for 2 of ${actors.size} actors ` +
      'and the scraper’s token alone',
  )
})
