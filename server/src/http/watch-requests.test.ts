import { connect } from 'node:net'
import { Writable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../../test/support/app.ts'
import { createLogger } from '../platform/log.ts'

type Line = Readonly<Record<string, unknown>>

let app: TestApp
let written = ''

beforeAll(async () => {
  const destination = new Writable({
    write(chunk: Buffer, _encoding, done) {
      written += chunk.toString()
      done()
    },
  })
  app = await startTestApp({
    log: createLogger('debug', destination),
    metricsToken: secrets.scraper,
  })
})
afterAll(async () => {
  await app.close()
})

/** Each of these is sent somewhere below, and none may be found in the log. */
const secrets = {
  password: 'seven quiet otters in a boat',
  scraper: 'scraper-token-0123456789',
  bearer: 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ1c3JfMDEifQ.c2lnbmF0dXJl',
  orderToken: 'order-token-that-opens-one-order',
  cookie: 'refresh-token-in-a-cookie',
  card: '4242424242424242',
  spacedCard: '4000 0027 6000 3184',
  stripeKey: 'sk_test_51ABCDEFGHIJKLMNOP',
  clientSecret: 'pi_3abc_secret_0123456789abcdef',
}

function lines(): Line[] {
  return written
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line)
}

const requestLines = (requestId: string): Line[] =>
  lines().filter((line) => line['requestId'] === requestId && line['msg'] === 'request')

async function requestLine(requestId: string): Promise<Line> {
  await expect.poll(() => requestLines(requestId).length).toBe(1)
  return requestLines(requestId)[0] ?? {}
}

describe('the log of requests', () => {
  test('one line each, with route template, status, duration, actor and trace', async () => {
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
    const { status } = await app.request('GET /api/orders/ord_01jd8q9yg8e5v9c0m4t7k2x3za', {
      token: await app.as('admin'),
      headers: {
        'x-request-id': 'one-line',
        traceparent: `00-${traceId}-00f067aa0ba902b7-01`,
      },
    })
    expect(status).toBe(404)
    expect(await requestLine('one-line')).toEqual({
      level: 30,
      time: expect.stringMatching(/Z$/),
      requestId: 'one-line',
      traceId,
      method: 'GET',
      route: '/api/orders/:id',
      status: 404,
      durationMs: expect.any(Number),
      actor: expect.stringMatching(/^usr_/),
      msg: 'request',
    })
  })

  test('also where no route fits, the method is refused, or the address cannot be read', async () => {
    const sent: [string, string, number, string][] = [
      ['GET', '/nothing/here', 404, 'unmatched'],
      ['PUT', '/livez', 405, '/livez'],
      ['GET', '/%zz', 400, 'unmatched'],
      ['OPTIONS', '/api/orders', 204, '*'],
    ]
    for (const [index, [method, address, status, route]] of sent.entries()) {
      const id = `odd-${index}`
      const reply = await fetch(app.url + address, {
        method,
        headers: {
          'x-request-id': id,
          origin: 'https://shop.example',
          'access-control-request-method': 'POST',
        },
      })
      expect([address, reply.status]).toEqual([address, status])
      expect(await requestLine(id)).toMatchObject({ method, status, route })
    }
  })

  test('what a traceparent of another form says is not repeated', async () => {
    await app.request('GET /livez', {
      headers: { 'x-request-id': 'bad-trace', traceparent: 'x'.repeat(300) },
    })
    expect(await requestLine('bad-trace')).not.toHaveProperty('traceId')
  })

  test('a client that goes away before its reply is seen as that', async () => {
    const socket = connect(Number(new URL(app.url).port), '127.0.0.1')
    await new Promise<void>((resolve) => socket.once('connect', () => resolve()))
    socket.write(
      'POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: gone\r\n' +
        'Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{"email":',
    )
    await expect.poll(() => app.app.instruments.metrics.process().activeRequests).toBe(1)
    socket.destroy()
    const line = await requestLine('gone')
    expect(line).toMatchObject({ route: '/api/auth/login', aborted: true })
    // It was told nothing: a status that nobody saw would count as a good reply.
    expect(line).not.toHaveProperty('status')
    expect(app.app.instruments.metrics.process().activeRequests).toBe(0)
    const { body } = await app.request('GET /api/system/metrics', { token: secrets.scraper })
    const series = '{http_request_method="POST",http_route="/api/auth/login"}'
    expect(body).toContain(`http_server_request_duration_seconds_count${series} 1\n`)
  })

  test('of replies from the cache one in a hundred, and all are counted', async () => {
    const ask = async (): Promise<void> => {
      await app.request('GET /api/services/categories', { headers: { 'x-request-id': 'cached' } })
    }
    const counted = async (): Promise<number> => {
      const { body } = await app.request('GET /api/system/metrics', { token: secrets.scraper })
      return Number(/^bureau_reply_cache_replies_total (\d+)$/m.exec(String(body))?.[1])
    }
    await ask()
    await expect.poll(async () => (await ask(), await counted())).toBeGreaterThan(0)
    const before = await counted()
    const linesBefore = requestLines('cached').length
    for (let count = 0; count < 300; count += 1) await ask()
    expect(await counted()).toBe(before + 300)
    const sampled = requestLines('cached').slice(linesBefore)
    expect(sampled).toHaveLength(3)
    expect(sampled[0]).toMatchObject({ status: 200, loggedOneIn: 100 })
  })
})

describe('secrets', () => {
  test('are looked for in a time that no text makes long', () => {
    const mark = written.length
    const startedAt = performance.now()
    for (const part of ['-eyJaaaaaaaa', 'aa_secret_', '://a:', '4 4-', 'Bearer ', 'sk_live_a']) {
      app.ports.log.warn({ note: part.repeat(Math.ceil(300_000 / part.length)) }, '://')
    }
    expect(performance.now() - startedAt).toBeLessThan(3000)
    expect(written.length - mark).toBeGreaterThan(900_000)
  })

  test('stand in no line, whatever is sent and whatever goes wrong', async () => {
    const mark = written.length
    const { password, bearer, orderToken, cookie, card, spacedCard, clientSecret } = secrets
    const json = { 'content-type': 'application/json' }
    await app.request('POST /api/auth/register', {
      body: { email: 'eve@customer.example', password, name: 'Eve' },
    })
    await app.request('POST /api/auth/login', {
      body: { email: 'eve@customer.example', password },
    })
    await app.request('POST /api/auth/login', {
      headers: json,
      rawBody: `{"password":"${password}`,
    })
    await app.request('POST /api/auth/admin/login', {
      body: { email: 'a@b.example', password, totp: card, more: { password, card: spacedCard } },
    })
    await app.request('GET /api/auth/me', { token: bearer })
    await app.request('GET /api/auth/me', { headers: { authorization: `Basic ${bearer}` } })
    await app.request('GET /api/orders', { orderToken })
    await app.request('POST /api/auth/refresh', {
      headers: { cookie: `bureau_refresh=${cookie}; other=${cookie}` },
    })
    await app.request('GET /livez', { headers: { 'x-request-id': card } })
    await app.request(`GET /nothing/${card}?token=${bearer}&secret=${clientSecret}`)
    await app.request('POST /api/webhook/stripe', {
      headers: { ...json, 'stripe-signature': `t=1,v1=${orderToken}` },
      rawBody: JSON.stringify({ client_secret: clientSecret, card }),
    })
    await app.request('POST /api/crm', {
      headers: { 'idempotency-key': `${orderToken}-as-a-key` },
      body: { subject: `card ${card}`, description: spacedCard, password },
    })
    const since = written.slice(mark)
    expect(since.split('\n').length).toBeGreaterThan(11)
    for (const [name, secret] of Object.entries(secrets)) {
      expect([name, since.includes(secret)]).toEqual([name, false])
    }
    expect(since).not.toMatch(/eve@|set-cookie/i)
  })

  test('stand in no line of an unexpected error either, though the error quotes them', async () => {
    const mark = written.length
    const { card, spacedCard, stripeKey, clientSecret, bearer } = secrets
    const words = [card, spacedCard, stripeKey, clientSecret, bearer]
    app.ports.log.error(
      {
        err: new Error(`refused: ${words.join(' / ')} at postgres://bureau:hunter22@db/bureau`),
        headers: { authorization: `Bearer ${secrets.scraper}`, 'set-cookie': secrets.cookie },
        facts: { password: secrets.password, deep: { clientSecret } },
        amounts: [4242424242424242, 14900],
      },
      `failed for Bearer ${secrets.scraper}`,
    )
    const line = written.slice(mark)
    for (const secret of [...Object.values(secrets), 'hunter22']) expect(line).not.toContain(secret)
    expect(line).toContain('"amounts":[9999999999999999,14900]')
    expect(JSON.parse(line)).toMatchObject({ headers: { authorization: '[redacted]' } })
    expect(line).toContain('postgres://bureau:[redacted]@db/bureau')
  })

  test('no line is broken in two: CR, LF and escapes stay inside their text', async () => {
    const before = lines().length
    app.ports.log.info({ note: 'a\r\n{"level":60}\u2028\u001b[31m' }, 'forged\nline')
    await app.request('GET /x%0d%0a%7b%22level%22:60%7d', {
      headers: { 'x-request-id': 'crlf' },
    })
    await requestLine('crlf')
    const added = lines().slice(before)
    expect(added.filter(({ level }) => level === 60)).toEqual([])
    expect(added[0]).toMatchObject({ msg: 'forged\nline' })
  })
})
