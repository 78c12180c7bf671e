import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { Type } from 'typebox'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { eventually } from '../../test/support/eventually.ts'
import { serveTable, type ServedTable } from '../../test/support/table.ts'
import { present } from '../kernel/assert.ts'
import { rateLimited } from '../kernel/errors.ts'
import { strictObject } from '../kernel/shapes.ts'
import { openFileStore } from '../platform/files.ts'
import { cutSlowBody } from './body-guard.ts'
import { attachmentNamed, FileBytes } from './download.ts'
import { endpoint } from './endpoint.ts'

const content = Buffer.from('0123456789')
let opened = 0
let filename = 'report.pdf'
let isAdmitted = true

const getFile = endpoint(
  'GET /api/file',
  { summary: 'Get a file', access: 'public', reply: FileBytes, example: {} },
  async () => ({
    filename,
    contentType: 'application/pdf',
    size: content.length,
    sha256: createHash('sha256').update(content).digest('hex'),
    open: async (range) => {
      opened += 1
      return Readable.from([content.subarray(range?.start ?? 0, (range?.end ?? 9) + 1)])
    },
  }),
)

const takeFile = endpoint(
  'POST /api/file',
  {
    summary: 'Take a file',
    access: ['customer'],
    body: strictObject({ label: Type.Optional(Type.String({ maxLength: 10 })) }),
    upload: {
      admit: async () => {
        if (!isAdmitted) throw rateLimited({ retryAfterSeconds: 1 })
      },
    },
    reply: Type.Object({ label: Type.String(), name: Type.String(), size: Type.Integer() }),
    status: 201,
    idempotency: 'none',
    example: {},
  },
  async (_ctx, { body, http }) => {
    const { filename: name, file } = present(http.upload, 'a file')
    return { label: body.label ?? '', name, size: file.size }
  },
)

const takeJson = endpoint(
  'POST /api/json',
  {
    summary: 'Take JSON',
    access: 'public',
    body: strictObject({ a: Type.Optional(Type.Integer()) }),
    reply: Type.Object({}),
    idempotency: 'none',
    example: {},
  },
  async () => ({}),
)

let directory: string
let served: ServedTable

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'bureau-forms-'))
  served = await serveTable([getFile, takeFile, takeJson], {
    files: await openFileStore({ directory, reservedBytes: 0 }),
    settings: { uploadPace: { windowMs: 500, bytesPerWindow: 1000, totalMs: 20_000 } },
  })
})
afterAll(async () => {
  await served.close()
  await rm(directory, { recursive: true })
})
beforeEach(() => {
  opened = 0
  filename = 'report.pdf'
  isAdmitted = true
})

async function get(headers: Record<string, string> = {}, method = 'GET') {
  const reply = await fetch(`${served.url}/api/file`, { method, headers })
  return { status: reply.status, headers: reply.headers, text: await reply.text() }
}

describe('sending a file', () => {
  test('200 with everything that keeps a browser from running it', async () => {
    const { status, headers, text } = await get({ accept: 'image/*' })
    expect([status, text]).toEqual([200, '0123456789'])
    expect(Object.fromEntries(headers)).toMatchObject({
      'content-type': 'application/pdf',
      'content-length': '10',
      'content-disposition': 'attachment; filename="report.pdf"',
      'accept-ranges': 'bytes',
      'cache-control': 'no-store',
      'content-security-policy': "sandbox; default-src 'none'; frame-ancestors 'none'",
      'cross-origin-resource-policy': 'same-origin',
      'x-content-type-options': 'nosniff',
      etag: expect.stringMatching(/^"[0-9a-f]{64}"$/),
    })
  })

  test('200 for HEAD with the same headers, and nothing is opened', async () => {
    const whole = await get()
    const { status, headers, text } = await get({}, 'HEAD')
    expect([status, text, opened]).toEqual([200, '', 1])
    for (const name of ['content-length', 'content-type', 'content-disposition', 'etag']) {
      expect([name, headers.get(name)]).toEqual([name, whole.headers.get(name)])
    }
  })

  test.each([
    ['bytes=0-0', '0', 'bytes 0-0/10'],
    ['bytes=3-5', '345', 'bytes 3-5/10'],
    ['bytes=7-', '789', 'bytes 7-9/10'],
    ['bytes=-2', '89', 'bytes 8-9/10'],
    ['bytes=-99', '0123456789', 'bytes 0-9/10'],
    ['bytes=5-99', '56789', 'bytes 5-9/10'],
  ])('206 for %s', async (range, text, part) => {
    const reply = await get({ range })
    expect([reply.status, reply.text]).toEqual([206, text])
    expect(reply.headers.get('content-range')).toBe(part)
    expect(reply.headers.get('content-length')).toBe(String(text.length))
  })

  test.each(['bytes=10-', 'bytes=99-100', 'bytes=-0'])('416 for %s', async (range) => {
    const { status, headers, text } = await get({ range })
    expect([status, JSON.parse(text).code]).toEqual([416, 'range_not_satisfiable'])
    expect(headers.get('content-range')).toBe('bytes */10')
    expect(headers.get('content-type')).toBe('application/problem+json')
    expect(opened).toBe(0)
  })

  test.each(['bytes=0-1,4-5', 'lines=1-2', 'bytes', 'bytes=b-a', 'bytes=5-3,'])(
    '200 with the whole for %s, which is no single range',
    async (range) => {
      expect(await get({ range })).toMatchObject({ status: 200, text: '0123456789' })
    },
  )

  test('304 for those who have it, before any range is looked at', async () => {
    const etag = (await get()).headers.get('etag') ?? ''
    for (const tag of [etag, '*', `"x", W/${etag}`]) {
      const reply = await get({ 'if-none-match': tag, range: 'bytes=99-' })
      expect([reply.status, reply.text, reply.headers.get('etag')]).toEqual([304, '', etag])
    }
    expect(opened).toBe(1)
    expect((await get({ 'if-none-match': '"other"' })).status).toBe(200)
  })

  test('206 only of the same bytes: If-Range with another tag gives the whole', async () => {
    const etag = (await get()).headers.get('etag') ?? ''
    const range = 'bytes=0-1'
    expect((await get({ range, 'if-range': etag })).status).toBe(206)
    expect((await get({ range, 'if-range': '"other"' })).status).toBe(200)
    expect((await get({ range, 'if-range': 'Sun, 22 Nov 2026 00:00:00 GMT' })).status).toBe(200)
  })

  test.each([
    ['plain name.pdf', 'attachment; filename="plain name.pdf"'],
    [
      'Grüße ✓.pdf',
      `attachment; filename="Gr__e _.pdf"; filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%E2%9C%93.pdf`,
    ],
    ['a"b\\c.pdf', `attachment; filename="a_b_c.pdf"; filename*=UTF-8''a%22b%5Cc.pdf`],
    [
      "100% (o'clock)*.pdf",
      `attachment; filename="100_ (o'clock)*.pdf"; filename*=UTF-8''100%25%20%28o%27clock%29%2A.pdf`,
    ],
    ['😀.pdf', `attachment; filename="_.pdf"; filename*=UTF-8''%F0%9F%98%80.pdf`],
  ])('a name that headers cannot hold is written as RFC 8187 says: %s', async (name, header) => {
    expect(attachmentNamed(name)).toBe(header)
    filename = name
    expect((await get()).headers.get('content-disposition')).toBe(header)
  })
})

interface Part {
  readonly name: string
  readonly filename?: string
  readonly type?: string
  readonly value: string | Buffer
}

const boundary = 'x-boundary-x'

function formOf(...parts: readonly Part[]): Buffer {
  const pieces = parts.flatMap(({ name, filename: file, type, value }) => [
    Buffer.from(
      `--${boundary}\r\nContent-Disposition: form-data; name="${name}"` +
        (file === undefined ? '' : `; filename="${file}"`) +
        (type === undefined ? '' : `\r\nContent-Type: ${type}`) +
        '\r\n\r\n',
    ),
    Buffer.from(value),
    Buffer.from('\r\n'),
  ])
  return Buffer.concat([...pieces, Buffer.from(`--${boundary}--\r\n`)])
}

const file: Part = { name: 'file', filename: 'a.txt', type: 'text/plain', value: 'hello' }

async function post(body: Buffer, headers: Record<string, string> = {}) {
  const reply = await fetch(`${served.url}/api/file`, {
    method: 'POST',
    body: new Uint8Array(body),
    headers: {
      authorization: 'Bearer ada',
      'content-type': `multipart/form-data; boundary=${boundary}`,
      ...headers,
    },
  })
  // oxlint-disable-next-line typescript/no-explicit-any
  const answer: any = await reply.json()
  return { status: reply.status, body: answer }
}

async function leftOver(): Promise<string[]> {
  return await readdir(path.join(directory, 'incoming'))
}

describe('taking a form', () => {
  test('201 with the field before or after the file, and nothing is left that was not kept', async () => {
    const label: Part = { name: 'label', value: 'mine' }
    for (const parts of [
      [label, file],
      [file, label],
    ]) {
      const { status, body } = await post(formOf(...parts))
      expect([status, body]).toEqual([201, { label: 'mine', name: 'a.txt', size: 5 }])
    }
    await eventually(async () => expect(await leftOver()).toEqual([]))
  })

  test.each<[string, Part[], string, string]>([
    ['no file', [{ name: 'label', value: 'x' }], '/file', 'required'],
    ['nothing', [], '/file', 'required'],
    ['two files', [file, file], '/file', 'maxItems'],
    ['a file of another name', [{ ...file, name: 'other' }], '/other', 'additionalProperties'],
    ['a file that is a field', [{ name: 'file', value: 'x' }], '/file', 'type'],
    ['a file without a name', [{ ...file, filename: '' }], '/file', 'required'],
    ['an empty file', [{ ...file, value: '' }], '/file', 'minLength'],
    ['an unknown field', [{ name: 'odd/~', value: 'x' }, file], '/odd~1~0', 'additionalProperties'],
    [
      'a field twice',
      [{ name: 'label', value: 'x' }, { name: 'label', value: 'x' }, file],
      '/label',
      'duplicate',
    ],
    ['a long field', [{ name: 'label', value: 'x'.repeat(11) }, file], '/label', 'maxLength'],
    ['a huge field', [{ name: 'label', value: 'x'.repeat(9000) }, file], '/label', 'maxLength'],
    ['NUL in a field', [{ name: 'label', value: 'a\0b' }, file], '/label', 'text'],
    ['no UTF-8', [{ name: 'label', value: Buffer.from([0xff, 0xfe]) }, file], '/label', 'text'],
    [
      'JSON in a field',
      [{ name: 'label', type: 'application/json', value: '{}' }, file],
      '/label',
      'type',
    ],
  ])('400 for %s', async (_what, parts, pointer, code) => {
    const { status, body } = await post(formOf(...parts))
    expect([status, body.code]).toEqual([400, 'invalid_input'])
    expect(body.errors).toEqual([expect.objectContaining({ pointer, code })])
    await eventually(async () => expect(await leftOver()).toEqual([]))
  })

  test.each<[string, Buffer]>([
    ['a form that breaks off', formOf(file).subarray(0, 120)],
    ['no form at all', Buffer.from('hello')],
    [
      'thirty fields',
      formOf(...Array.from({ length: 30 }, (_, n) => ({ name: `f${n}`, value: 'x' })), file),
    ],
    ['a prototype', formOf({ name: '__proto__', value: 'x' }, file)],
  ])('400 for %s', async (_what, body) => {
    expect((await post(body)).status).toBe(400)
    await eventually(async () => expect(await leftOver()).toEqual([]))
  })

  test('415 for JSON here, and for a form where JSON belongs', async () => {
    const json = await post(Buffer.from('{}'), { 'content-type': 'application/json' })
    expect([json.status, json.body.code]).toEqual([415, 'unsupported_media_type'])
    const reply = await fetch(`${served.url}/api/json`, {
      method: 'POST',
      body: new Uint8Array(formOf(file)),
      headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
    })
    expect(reply.status).toBe(415)
  })

  test('401 and 429 before a byte of the body is read', async () => {
    const anonymous = await post(formOf(file), { authorization: '' })
    expect(anonymous.status).toBe(401)
    isAdmitted = false
    expect((await post(formOf(file))).status).toBe(429)
  })
})

/** A request whose body the test sends by hand. */
async function begin(headers: readonly string[], target = '/api/file'): Promise<Socket> {
  const socket = connect(Number(new URL(served.url).port), '127.0.0.1')
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  socket.write([`POST ${target} HTTP/1.1`, 'Host: a', ...headers, '', ''].join('\r\n'))
  return socket
}

const formHeaders = [
  'Authorization: Bearer ada',
  `Content-Type: multipart/form-data; boundary=${boundary}`,
]
const opening = formOf(file).subarray(0, formOf(file).indexOf('hello'))

/** Until it takes more, or is closed. */
async function isFree(socket: Socket): Promise<void> {
  await new Promise<void>((resolve) => {
    socket.once('drain', resolve)
    socket.once('close', () => resolve())
  })
}

function answerOf(socket: Socket): Promise<string> {
  let text = ''
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  return new Promise((resolve) => {
    socket.once('close', () => resolve(text))
  })
}

describe('a client that is slow, or gone, or sends too much', () => {
  test('408 for one that hardly sends, and nothing is left', async () => {
    const socket = await begin([...formHeaders, 'Content-Length: 100000'])
    socket.write(opening)
    const [answer] = (await once(socket, 'data')) as [Buffer]
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 408 /)
    socket.destroy()
    await eventually(async () => expect(await leftOver()).toEqual([]))
  })

  test('201 for one that is slow and steady', async () => {
    const socket = await begin([...formHeaders, 'Transfer-Encoding: chunked', 'Connection: close'])
    const answer = answerOf(socket)
    const body = formOf({ ...file, value: Buffer.alloc(24_000, 'a') })
    const startedAt = performance.now()
    for (let at = 0; at < body.length; at += 1500) {
      const piece = body.subarray(at, at + 1500)
      socket.write(`${piece.length.toString(16)}\r\n`)
      socket.write(piece)
      socket.write('\r\n')
      await eventually(() => expect(performance.now() - startedAt).toBeGreaterThan(at / 20))
    }
    socket.write('0\r\n\r\n')
    expect(await answer).toMatch(/^HTTP\/1\.1 201 [\s\S]*"size":24000/)
    // Two windows and more: each of them was looked at.
    expect(performance.now() - startedAt).toBeGreaterThan(1100)
  })

  test('nothing is left of one that hangs up in the middle', async () => {
    const socket = await begin([...formHeaders, 'Content-Length: 100000'])
    socket.write(Buffer.concat([opening, Buffer.alloc(20_000)]))
    await eventually(async () => expect(await leftOver()).toHaveLength(1))
    socket.destroy()
    await eventually(async () => expect(await leftOver()).toEqual([]))
  })

  test('413 for a length that says it is too much, before the body', async () => {
    const socket = await begin([...formHeaders, 'Content-Length: 5000000000'])
    const answer = answerOf(socket)
    expect(await answer).toMatch(/^HTTP\/1\.1 413 /)
    expect(await leftOver()).toEqual([])
  })

  test.each([
    ['413 for a form without an end', '/api/file', formHeaders, opening, 413],
    ['401 for nobody', '/api/file', formHeaders.slice(1), opening, 401],
    [
      '413 for JSON without an end',
      '/api/json',
      ['Content-Type: application/json'],
      Buffer.from('{"a":1'),
      413,
    ],
  ] as const)('%s, and it is cut off soon', async (...given) => {
    const [, target, headers, first, status] = given
    const socket = await begin([...headers, 'Transfer-Encoding: chunked'], target)
    const answer = answerOf(socket)
    const piece = Buffer.alloc(64 * 1024, ' ')
    const send = (bytes: Buffer): boolean => {
      socket.write(`${bytes.length.toString(16)}\r\n`)
      socket.write(bytes)
      return socket.write('\r\n')
    }
    send(Buffer.from(first))
    let sent = 0
    while (!socket.destroyed && sent < 200 * piece.length) {
      sent += piece.length
      if (!send(piece)) await isFree(socket)
    }
    expect(await answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    // What the two ends of the connection hold back is not ours to count.
    expect(socket.bytesWritten).toBeLessThan(12 * 1024 * 1024)
    await eventually(async () => expect(await leftOver()).toEqual([]))
  })
})

describe('cutSlowBody', () => {
  test('hangs up on a body that does not come, and on none that does', async () => {
    const server = createServer((request, response) => {
      cutSlowBody(request, 100)
      request.resume().on('end', () => setImmediate(() => response.end('taken')))
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as { port: number }
    const ask = (body: string): Promise<string> => {
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => undefined)
      socket.write(
        `POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\n${body}`,
      )
      return answerOf(socket)
    }
    expect(await ask('{}')).toContain('taken')
    expect(await ask('{')).toBe('')
    server.close()
  })
})
