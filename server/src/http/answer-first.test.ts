import { connect } from 'node:net'
import { Type } from 'typebox'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../../test/support/eventually.ts'
import { serveTable, type ServedTable } from '../../test/support/table.ts'
import { endpoint, type Endpoint } from './endpoint.ts'

const Thing = Type.Object({ id: Type.String(), version: Type.Integer() })
const contract = { access: 'public', reply: Thing, cache: 'public', example: {} } as const
const give = async () => ({ id: 'thing', version: 7 })

const table: readonly Endpoint[] = [
  endpoint('GET /api/thing', { ...contract, summary: 'Get it' }, give),
  endpoint('GET /api/probed', { ...contract, summary: 'Get it', limit: 'probe' }, give),
]

const alwaysFresh = {
  isFresh: () => true,
  forget: () => undefined,
  subscribe: () => undefined,
  stop: async () => undefined,
}

/** Answers the plainest requests itself. */
let short: ServedTable
/** Trusts a proxy, though nobody comes by it: all that it answers comes from the framework. */
let long: ServedTable

beforeAll(async () => {
  short = await serveTable(table, { invalidation: alwaysFresh })
  long = await serveTable(table, {
    invalidation: alwaysFresh,
    settings: { trustProxy: ['192.0.2.1'] },
  })
  for (const { url } of [short, long]) {
    for (const path of ['/api/thing', '/api/probed']) await (await fetch(url + path)).text()
  }
})
afterAll(async () => {
  await long.close()
  await short.close()
})

/** What the client sees, but for what is another each time: names in small letters, in order. */
async function ask({ raw }: ServedTable, request: string): Promise<string[]> {
  const answer = await raw(request)
  return answer.split(/(?=HTTP\/1\.1 \d{3} )/).flatMap((one) => {
    const [head = '', ...body] = one.split('\r\n\r\n')
    const [status = '', ...fields] = head.split('\r\n')
    const named = fields.map((field) => field.replace(/^[^:]+/, (name) => name.toLowerCase()))
    return [status, ...named.map(withoutChance).toSorted(), body.join('\r\n\r\n')].map((line) =>
      line.replace(/req_[0-9a-z]{26}/, 'req_'),
    )
  })
}

function withoutChance(field: string): string {
  return field.startsWith('date: ') ? 'date: ' : field.replace(/;r=\d+;t=\d+$/, ';r=;t=')
}

const host = 'Host: shop.example\r\n'
const close = 'Connection: close\r\n'
const get = (headers: string, target = '/api/thing', version = '1.1') =>
  `GET ${target} HTTP/${version}\r\n${headers}\r\n`

describe('an answer before the framework is the framework’s own', () => {
  test.each([
    ['plain', get(host + close)],
    ['without a Host', get(close)],
    ['with an empty Host', get(`Host:\r\n${close}`)],
    ['with two Hosts', get(`${host}hOsT: other.example\r\n${close}`)],
    ['of HTTP/1.0', get(host, '/api/thing', '1.0')],
    ['of HTTP/1.0 without a Host', get('', '/api/thing', '1.0')],
    ['of HTTP/1.0 that stays', get(`${host}Connection: keep-alive\r\n`) + get(host + close)],
    ['three in one', get(host) + get(host, '/api/nothing') + get(host + close)],
    ['with the whole address', get(host + close, 'http://shop.example/api/thing')],
    ['with an empty query', get(host + close, '/api/thing?')],
    ['with a query that is not known', get(host + close, '/api/thing?a=1&b=2')],
    ['after a number sign', get(host + close, '/api/thing#a=1')],
    ['with a slash more', get(host + close, '/api/thing/')],
    ['in an escape', get(host + close, '/api/%74hing')],
    ['counted by another policy', get(host + close, '/api/probed')],
    ['that takes anything', get(`${host}${close}Accept: text/html, */*;q=0.1\r\n`)],
    ['that takes problems', get(`${host}${close}Accept: application/problem+json\r\n`)],
    ['that takes pages only', get(`${host}${close}Accept: text/html\r\n`)],
    ['that takes nothing', get(`${host}${close}Accept:\r\n`)],
    ['with cookies and ranges', get(`${host}${close}Cookie: a=b\r\nRange: bytes=0-1\r\n`)],
    ['with a tag', get(`${host}${close}If-None-Match: "7-public"\r\n`)],
    ['with a name of its own', get(`${host}${close}X-Request-Id: my-own\r\n`)],
    ['with a page of ours', get(`${host}${close}Origin: https://shop.example\r\n`)],
    ['with a page of others', get(`${host}${close}Origin: https://evil.example\r\n`)],
    ['with an empty token', get(`${host}${close}Authorization:\r\n`)],
    ['with a good token', get(`${host}${close}Authorization: Bearer ada\r\n`)],
    ['with two tokens', get(`${host}${close}Authorization: Bearer ada\r\nX-Order-Token: a\r\n`)],
    ['with the token of an order', get(`${host}${close}X-Order-Token: a\r\n`)],
    ['with a body', get(`${host}${close}Content-Length: 2\r\n`) + '{}'],
    ['with a body in parts', get(`${host}${close}Transfer-Encoding: chunked\r\n`) + '0\r\n\r\n'],
    [
      'with two lengths',
      get(`${host}${close}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n`) + '0\r\n\r\n',
    ],
    ['that expects to go on', get(`${host}${close}Expect: 100-continue\r\n`)],
    ['that expects what nobody knows', get(`${host}${close}Expect: 200-ok\r\n`)],
    ['that would rather change', get(`${host}Connection: upgrade, close\r\nUpgrade: h2c\r\n`)],
    ['for the head', get(host + close).replace('GET', 'HEAD')],
    ['of another method', get(host + close).replace('GET', 'DELETE')],
    ['in a line that is folded', get(`${host}${close}Accept: */*\r\n , text/html\r\n`)],
  ])('%s', async (_what, request) => {
    const answer = await ask(short, request)
    expect(answer[0]).toMatch(/^HTTP\/1\.1 \d{3} /)
    expect(answer).toEqual(await ask(long, request))
  })

  test('with the same log, one line in a hundred, and the same counts', async () => {
    const lines = ({ logged }: ServedTable) =>
      logged.filter((line) => line['loggedOneIn'] !== undefined)
    for (const served of [short, long]) {
      const before = lines(served).length
      const { length: known } = served.logged
      for (let call = 0; call < 100; call += 1)
        await (await fetch(`${served.url}/api/thing`)).text()
      await eventually(() => expect(lines(served)).toHaveLength(before + 1))
      expect(served.logged).toHaveLength(known + 1)
    }
    const [one, other] = [short, long].map((served) => {
      const { time: _time, requestId, durationMs, ...rest } = lines(served).at(-1) ?? {}
      expect([requestId, durationMs]).toEqual([expect.any(String), expect.any(Number)])
      expect(String(durationMs)).toMatch(/^\d+(\.\d{1,2})?$/)
      return rest
    })
    expect(one).toEqual(other)
    const [counted, alike] = await Promise.all([short, long].map(countRequests))
    expect(counted).toBeGreaterThan(100)
    expect(counted).toBe(alike)
  })

  test('and a server that closes lets no connection stay', async () => {
    const closing = await serveTable(table, { invalidation: alwaysFresh })
    await (await fetch(`${closing.url}/api/thing`)).text()
    const socket = connect(Number(new URL(closing.url).port), '127.0.0.1')
    let answer = ''
    socket.on('data', (bytes) => (answer += bytes.toString()))
    const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()))
    // A request that is not whole yet keeps its connection when the idle ones go.
    socket.write('GET /api/thing HTTP/1.1\r\nHost: a\r\n')
    await eventually(async () => {
      const held = await new Promise((resolve) =>
        closing.http.server.getConnections((_error, count) => resolve(count)),
      )
      expect(held).toBe(2)
    })
    const closed = closing.close()
    await eventually(() => expect(closing.http.server.listening).toBe(false))
    socket.write('\r\n')
    await ended
    await closed
    expect(answer).toMatch(/^HTTP\/1\.1 200 [\s\S]*\r\nconnection: close\r\n/i)
  })
})

/** How many requests for the thing were answered, as a scrape would show it. */
async function countRequests({ contextFor }: ServedTable): Promise<number> {
  const { metrics } = contextFor({ kind: 'anonymous' }).instruments
  const text = await metrics.write([])
  const labels = 'http_request_method="GET",http_route="/api/thing",http_response_status_code="200"'
  const counted = text.split('\n').find((line) => line.includes(`_count{${labels}}`))
  return Number(counted?.split(' ').at(-1))
}
