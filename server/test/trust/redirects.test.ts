import { afterAll, beforeAll, expect } from 'vitest'
import { modules } from '../../src/modules/index.ts'
import { openShop, type Shop } from '../journeys/shop.ts'
import { startTestApp, type Reply, type TestApp } from '../support/app.ts'
import { sendRaw } from '../support/wire.ts'
import { promise } from './promise.ts'

let app: TestApp
let shop: Shop

beforeAll(async () => {
  app = await startTestApp()
  shop = await openShop(app)
})
afterAll(async () => {
  await app.close()
})

/** Of the test app: its own address, and the one shop that may send people back to itself. */
const ours = ['http://localhost:3000', 'https://shop.example']

/** Addresses that some reader takes for one of ours, and another for somebody else's. */
const hostileUrls = [
  'https://evil.example/',
  'http://evil.example',
  'http://shop.example/',
  'https://shop.example:8443/',
  'https://shop.example.evil.example/',
  'https://evilshop.example/',
  'https://evil.example/https://shop.example',
  'https://evil.example/?https://shop.example',
  'https://evil.example#https://shop.example',
  'https://shop.example@evil.example/',
  'https://shop.example:x@evil.example/',
  'https://someone@shop.example/',
  'https://someone:word@shop.example/',
  'https://shop.example%40evil.example/',
  'https://shop.example%2eevil.example/',
  'https://shop.example\\@evil.example/',
  'https://shop.example\\.evil.example/',
  'https://evil.example\\@shop.example/',
  'https:\\\\evil.example/',
  'https:/\\evil.example/',
  '//evil.example/',
  '///evil.example/',
  '/\\evil.example/',
  '\\\\evil.example',
  '/relative',
  'https:evil.example',
  'https:///evil.example/',
  'https://shop。example/',
  'https://shop.example。evil.example/',
  'https://ѕhop.example/',
  'https://xn--hop-9cd.example/',
  'https://shop.example\u0000.evil.example/',
  'https://shop.example\t/',
  'ht\ntps://shop.example/',
  ' https://shop.example/',
  'https://[::1]/',
  'https://127.0.0.1/',
  'http://localhost:3000.evil.example/',
  'http://localhost:3000@evil.example/',
  'http://localhost/',
  'javascript:alert(1)//https://shop.example',
  'javascript://shop.example/%0aalert(1)',
  'data:text/html,<script>alert(1)</script>',
  'vbscript:msgbox(1)',
  'file:///etc/passwd',
  'blob:https://shop.example/0',
  'ftp://shop.example/',
  'shop.example',
  'https://',
  '',
]

promise(71, 'return addresses lead to our own hosts alone', async (proof) => {
  let refused = 0
  for (const url of hostileUrls) {
    for (const member of ['successUrl', 'cancelUrl']) {
      for (const mode of ['hosted', 'intent'] as const) {
        const { status, body } = await process({ [member]: url, mode })
        expect([url, member, mode, status]).toEqual([url, member, mode, 400])
        expect([`/${member}`, 'malformed_request']).toContain(body.errors?.[0].pointer ?? body.code)
        refused += 1
      }
    }
  }
  let taken = 0
  for (const origin of ours) {
    for (const path of ['', '/thanks', '/a/../b?c=d&e=//evil.example#f']) {
      const [successUrl, cancelUrl] = [`${origin}${path}`, `${origin}/cancelled`]
      const { status, body } = await process({ successUrl, cancelUrl, mode: 'hosted' })
      expect(status, JSON.stringify(body)).toBe(201)
      const session = await sessionAt(body.payment.providerRef)
      // What the provider was told is what a browser makes of it: nobody can read it otherwise.
      expect(session.success_url).toBe(new URL(successUrl).href)
      expect([session.success_url, session.cancel_url].map((url) => new URL(url).origin)).toEqual([
        origin,
        origin,
      ])
      taken += 1
    }
  }
  const [{ count } = { count: 0 }] = await app.sql('select count(*)::int as count from orders')
  expect(count).toBe(taken)
  proof.measured(
    `${hostileUrls.length} hostile addresses, ${refused} requests: all 400; ${taken} of ours ` +
      'handed on as judged',
  )
})

promise(71, 'nothing else redirects, whoever asks for what', async (proof) => {
  const endpoints = modules.flatMap((module) => module.endpoints)
  const actors = [
    {},
    { token: (await app.asCustomer('ada')).token },
    { token: await app.as('admin') },
  ]
  let asked = 0
  for (const { method, path } of endpoints) {
    for (const actor of actors) {
      const address = path.replaceAll(/:\w+/g, '%2F%2Fevil.example')
      const evil = encodeURIComponent('https://evil.example')
      const query = ['url', 'next', 'returnTo', 'redirect_uri'].map((name) => `${name}=${evil}`)
      const route = `${method} ${address}?${query.join('&')}` as 'GET /'
      const { status, headers } = await app.request(route, actor)
      expect([route, status >= 300 && status < 400]).toEqual([route, false])
      expect([route, /^(?!\/(?!\/))/.test(headers.get('location') ?? '/')]).toEqual([route, false])
      asked += 1
    }
  }
  const odd = [
    '/',
    '//',
    '//evil.example',
    '//evil.example/%2e%2e',
    '/\\evil.example',
    '/%5cevil.example',
    '/docs',
    '/docs/',
    '/docs//evil.example',
    '/docs/..//evil.example/..',
    '/docs/static',
    'http://evil.example/',
    'http://evil.example/docs',
    '/api//evil.example',
    '/./docs',
  ]
  const seen: string[] = []
  for (const target of odd) {
    const answer = await sendRaw(
      app,
      `GET ${target} HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\n` +
        'X-Forwarded-Proto: https\r\nConnection: close\r\n\r\n',
    )
    const [head = ''] = answer.split('\r\n\r\n')
    const location = /^location: (.*)$/im.exec(head)?.[1]
    if (location === undefined) continue
    seen.push(location)
    // Seen from our own address, so that what is relative is read as a browser reads it.
    const lead = new URL(location, 'http://localhost:3000/docs')
    expect([target, lead.origin]).toEqual([target, 'http://localhost:3000'])
    expect(location).not.toMatch(/^[/\\]{2}|evil/)
  }
  expect(seen.length).toBeGreaterThan(0)
  proof.measured(
    `${asked} requests of ${endpoints.length} routes: 0 redirects; ${seen.length} of ` +
      `${odd.length} odd addresses lead to ${[...new Set(seen)].join(', ')}`,
  )
})

async function process(more: object): Promise<Reply> {
  return await app.request('POST /api/checkout/process', {
    body: {
      items: [{ serviceId: shop.serviceId, quantity: 1 }],
      customer: { email: 'guest@example.com', name: 'Grace' },
      ...more,
    },
  })
}

async function sessionAt(id: string): Promise<{ success_url: string; cancel_url: string }> {
  const reply = await fetch(`${app.sandbox.url}/v1/checkout/sessions/${id}`, {
    headers: { authorization: 'Bearer sk_test_bureau' },
  })
  return (await reply.json()) as { success_url: string; cancel_url: string }
}
