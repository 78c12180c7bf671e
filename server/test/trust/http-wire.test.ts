import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { afterAll, beforeAll, expect } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { sendRaw, type RawReply } from '../support/raw-http.ts'
import { promise } from './promise.ts'

let app: TestApp
let admin: string

beforeAll(async () => {
  app = await startTestApp({ errorDetail: false })
  admin = await app.as('admin')
}, 120_000)
afterAll(async () => {
  await app.close()
})

const megabyte = 1_000_000

interface Poured {
  readonly reply: string
  /** What the server read of it. */
  readonly takenBytes: number
}

/** Writes the head and then the chunk for ever, or until a gigabyte; the server has to end it. */
async function pour(head: string, chunk: Buffer): Promise<Poured> {
  const served = new Promise<Socket>((resolve) => app.app.http.server.once('connection', resolve))
  const received: Buffer[] = []
  await new Promise<void>((resolve, reject) => {
    const socket = connect(Number(new URL(app.url).port), '127.0.0.1')
    let written = 0
    const write = (): void => {
      while (written < 1000 * megabyte && socket.writable) {
        written += chunk.length
        if (!socket.write(chunk)) return
      }
    }
    socket.on('data', (data: Buffer) => received.push(data))
    socket.on('drain', write)
    socket.on('error', () => undefined)
    socket.on('close', resolve)
    socket.setTimeout(20_000, () => {
      reject(
        new Error(`the server neither reads nor ends it: ${Buffer.concat(received).toString()}`),
      )
      socket.destroy()
    })
    socket.write(head)
    write()
  })
  return { reply: Buffer.concat(received).toString(), takenBytes: (await served).bytesRead }
}

const piece = Buffer.alloc(64 * 1024, 'a')
const asChunk = Buffer.concat([Buffer.from('10000\r\n'), piece, Buffer.from('\r\n')])
const form = 'Content-Type: multipart/form-data; boundary=b'
const json = 'Content-Type: application/json'

/** The beginnings of forms that never end, by the part that goes on and on. */
const endlessForms: readonly (readonly [string, string])[] = [
  ['a preamble', 'before'],
  ['a file', '--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'],
  ['a field', '--b\r\nContent-Disposition: form-data; name="label"\r\n\r\n'],
  ['the head of a part', '--b\r\nContent-Disposition: form-data; name="'],
  [
    'what follows the last part',
    '--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\na\r\n--b--\r\n',
  ],
]

promise(64, 'a body of a gigabyte is refused before 2 MB of it are taken', async (proof) => {
  const good = `Authorization: Bearer ${admin}\r\n`
  const targets: readonly (readonly [string, string, readonly number[]])[] = [
    ['POST /api/auth/login', json, [413]],
    ['POST /api/services', `${good}${json}`, [413]],
    ['POST /api/services', `Authorization: Bearer a.b.c\r\n${json}`, [401]],
    ['POST /api/services', json, [401]],
    ['POST /api/services', `${good}Content-Type: text/plain`, [415]],
    ['DELETE /api/services/bulk', `${good}${json}`, [413]],
    ['POST /api/webhook/stripe', `Stripe-Signature: t=1,v1=00\r\n${json}`, [413]],
    ['POST /api/documents/upload', `${good}${form}`, [413]],
    ['POST /api/documents/upload', `Authorization: Bearer a.b.c\r\n${form}`, [401]],
    ['POST /api/documents/upload', `${good}${json}`, [415]],
    ['POST /api/nothing', json, [404, 413]],
    ['PUT /api/services', json, [405]],
  ]
  let mostTaken = 0
  for (const [route, headers, statuses] of targets) {
    const head = `${route} HTTP/1.1\r\nHost: a\r\n${headers}\r\n`
    const ways: readonly (readonly [string, Buffer])[] = [
      [`${head}Content-Length: ${1000 * megabyte}\r\n\r\n`, piece],
      [`${head}Transfer-Encoding: chunked\r\n\r\n`, asChunk],
    ]
    for (const [begin, chunk] of ways) {
      const isChunkedForm = begin.includes('chunked') && headers === `${good}${form}`
      const { reply, takenBytes } = await pour(begin, chunk)
      const status = Number(/^HTTP\/1\.1 (\d+)/.exec(reply)?.[1] ?? 0)
      expect([begin, [...statuses, isChunkedForm ? 413 : 0]]).toEqual([
        begin,
        expect.arrayContaining([status]),
      ])
      expect(takenBytes, begin).toBeLessThan(2 * megabyte)
      mostTaken = Math.max(mostTaken, takenBytes)
    }
  }
  proof.measured(`${targets.length} kinds of request, by length and in chunks`)
  proof.measured(`at most ${(mostTaken / megabyte).toFixed(2)} MB taken`)
})

promise(64, 'a form without end is cut wherever it goes on and on', async (proof) => {
  let mostTaken = 0
  for (const [what, begin] of endlessForms) {
    const head = `POST /api/documents/upload HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${admin}
Transfer-Encoding: chunked\r\n${form}`.replaceAll(/\r?\n/g, '\r\n')
    const first = `${begin.length.toString(16)}\r\n${begin}\r\n`
    const { reply, takenBytes } = await pour(`${head}\r\n\r\n${first}`, asChunk)
    const status = Number(/^HTTP\/1\.1 (\d+)/.exec(reply)?.[1] ?? 0)
    expect([what, [400, 413].includes(status), status]).toEqual([what, true, status])
    expect(takenBytes, what).toBeLessThan(2 * megabyte)
    mostTaken = Math.max(mostTaken, takenBytes)
  }
  expect(await app.sql('select key from documents')).toEqual([])
  proof.measured(
    `${endlessForms.length} endless forms, at most ${(mostTaken / megabyte).toFixed(2)} MB`,
  )
})

/** What would make a customer if it were taken for a request of its own. */
const smuggled = (): string => {
  const body = '{"email":"smuggled@example.com","name":"Smuggled"}'
  return (
    `POST /api/customers HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${admin}\r\n` +
    `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  )
}

const post = 'POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n'
const get = 'GET /livez HTTP/1.1\r\nHost: a\r\n'
const chunked = `${post}Transfer-Encoding: chunked\r\n`

/** Requests that two readers could take for different ones, or that are none. */
const ambiguous: readonly (readonly [string, string])[] = [
  [
    'a length and chunks',
    `${post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  ],
  ['chunks and a length', `${chunked}Content-Length: 5\r\n\r\n0\r\n\r\n`],
  ['two lengths', `${post}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`],
  ['one length twice', `${post}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}`],
  ['a list of lengths', `${post}Content-Length: 2, 2\r\n\r\n{}`],
  ['a length with a sign', `${post}Content-Length: +2\r\n\r\n{}`],
  ['a negative length', `${post}Content-Length: -2\r\n\r\n{}`],
  ['a hexadecimal length', `${post}Content-Length: 0x2\r\n\r\n{}`],
  ['a length of two parts', `${post}Content-Length: 2 2\r\n\r\n{}`],
  ['a length above 2^64', `${post}Content-Length: 99999999999999999999\r\n\r\n{}`],
  ['a length with a space before its colon', `${post}Content-Length : 2\r\n\r\n{}`],
  [
    'an encoding with a space before its colon',
    `${post}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`,
  ],
  ['an unknown encoding', `${post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`],
  ['chunks that are not last', `${post}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`],
  ['chunks twice', `${chunked}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['an encoding behind a vertical tab', `${post}Transfer-Encoding: \u000bchunked\r\n\r\n0\r\n\r\n`],
  ['a chunk size that is none', `${chunked}\r\nzz\r\n{}\r\n0\r\n\r\n`],
  ['a negative chunk size', `${chunked}\r\n-2\r\n{}\r\n0\r\n\r\n`],
  ['a chunk size with 0x', `${chunked}\r\n0x2\r\n{}\r\n0\r\n\r\n`],
  ['a chunk size above 2^64', `${chunked}\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n`],
  ['a chunk longer than it says', `${chunked}\r\n1\r\n{}\r\n0\r\n\r\n`],
  ['a chunk without a size', `${chunked}\r\n\r\n{}\r\n0\r\n\r\n`],
  ['extensions of 100 KB', `${chunked}\r\n2;${'a=b;'.repeat(25_000)}\r\n{}\r\n0\r\n\r\n`],
  ['a folded header', `${get}X-A: b\r\n c\r\n\r\n`],
  ['a folded first header', 'GET /livez HTTP/1.1\r\n Host: a\r\n\r\n'],
  ['a NUL in a value', `${get}X-A: b\0c\r\n\r\n`],
  ['a NUL in a name', `${get}X-\0A: b\r\n\r\n`],
  ['a bare CR in a value', `${get}X-A: b\rX-B: c\r\n\r\n`],
  ['a bare LF after a header', `${get}X-A: b\nX-B: c\r\n\r\n`],
  ['a bare LF after the request line', 'GET /livez HTTP/1.1\nHost: a\r\n\r\n'],
  ['a space in a name', `${get}X A: b\r\n\r\n`],
  ['a header without a name', `${get}: b\r\n\r\n`],
  ['a header without a colon', `${get}X-A\r\n\r\n`],
  ['two Host headers', `${get}Host: b\r\n\r\n`],
  ['the same Host twice', `${get}Host: a\r\n\r\n`],
  ['two Host headers in other letters', `${get}hOST: b\r\n\r\n`],
  ['no Host header', 'GET /livez HTTP/1.1\r\nX-A: b\r\n\r\n'],
  ['two tokens', `${get}Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n`],
  ['headers of 100 KB', `${get}X-A: ${'b'.repeat(100_000)}\r\n\r\n`],
  ['10 000 headers', `${get}${'a:b\r\n'.repeat(10_000)}\r\n`],
  ['a space in the address', 'GET /livez /x HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['a version of its own', 'GET /livez HTTP/1.9\r\nHost: a\r\n\r\n'],
  ['HTTP/2 without being asked', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['HTTP/0.9', 'GET /livez\r\n\r\n'],
  ['a method in lower case', 'get /livez HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['what is no HTTP', '\u0016\u0003\u0001\u0002\0\u0001\0\u0001'],
]

function expectOneRefusal(what: string, reply: RawReply): void {
  const first = { status: reply.status, wasClosed: reply.wasClosed }
  expect([what, first, repliesIn(reply)]).toEqual([what, { status: 400, wasClosed: true }, 1])
  expect(reply.headers['content-type'], what).toBe('application/problem+json')
}

const repliesIn = ({ text }: RawReply): number => text.split(/^HTTP\/1\.1 /m).length - 1

const smuggledCustomers = () =>
  app.sql(`select id from customers where email = 'smuggled@example.com'`)

promise(
  66,
  'requests that two readers could read differently are 400 and the end',
  async (proof) => {
    const failures: string[] = []
    for (const [what, bytes] of ambiguous) {
      const reply = await sendRaw(app.url, Buffer.from(bytes + smuggled(), 'latin1'), {
        withinMs: 3000,
      })
      try {
        expectOneRefusal(what, reply)
      } catch {
        failures.push(`${what}: ${reply.wasClosed} ${reply.text.slice(0, 300)}`)
      }
    }
    expect(failures).toEqual([])
    expect(await smuggledCustomers()).toEqual([])
    proof.measured(`${ambiguous.length} ambiguous requests, each 400 and closed`)
    proof.measured('0 smuggled requests executed')
  },
)

promise(66, 'what belongs to a body is never taken for the next request', async (proof) => {
  const inside = smuggled()
  const withBody = (head: string): string =>
    `${head}Content-Type: application/json\r\nContent-Length: ${inside.length}\r\n\r\n${inside}`
  const cases: readonly (readonly [string, string, number])[] = [
    ['of a GET', withBody(get), 200],
    ['that is no JSON', withBody('POST /api/auth/login HTTP/1.1\r\nHost: a\r\n'), 400],
    ['of a request without a token', withBody('POST /api/services HTTP/1.1\r\nHost: a\r\n'), 401],
    ['of a request for nothing', withBody('POST /api/nothing HTTP/1.1\r\nHost: a\r\n'), 400],
    ['of a method that is not there', withBody('PUT /livez HTTP/1.1\r\nHost: a\r\n'), 405],
    [
      'after a length that is too short',
      `${post}Content-Length: 2\r\nConnection: close\r\n\r\n{}${inside}`,
      400,
    ],
  ]
  for (const [what, bytes, status] of cases) {
    const reply = await sendRaw(app.url, bytes, { withinMs: 1000 })
    expect([what, reply.status, repliesIn(reply)]).toEqual([what, status, 1])
  }
  expect(await smuggledCustomers()).toEqual([])
  const made = await sendRaw(app.url, smuggled().replace('\r\n', '\r\nConnection: close\r\n'))
  expect(made.status, 'the request inside is a good one').toBe(201)
  expect(await smuggledCustomers()).toHaveLength(1)
  proof.measured(`${cases.length} bodies that hold a request, 0 executed`)
})
