import type { TSchema } from 'typebox'
import { afterAll, beforeAll, expect } from 'vitest'
import { querySchemaOf } from '../../../src/http/compile.ts'
import type { Endpoint } from '../../../src/http/endpoint.ts'
import { startTestApp, type TestApp } from '../../support/app.ts'
import { sendRaw, type RawReply } from '../../support/raw-http.ts'
import { bytesOf, endpoints, nameOf, type Attack } from '../hostile/attack.ts'
import { escapes, keepable, strayBytes, strayEscapes } from '../hostile/characters.ts'
import { callersOf, gather, type Caller, type CallerName } from '../hostile/people.ts'
import { complaintsAbout } from '../hostile/verdict.ts'
import { promise } from '../promise.ts'

let app: TestApp
let party: ReadonlyMap<CallerName, Caller>

beforeAll(async () => {
  app = await startTestApp({ errorDetail: false })
  party = await gather(app)
}, 120_000)
afterAll(async () => {
  await app.close()
})

/** A text of a body: where it stands, and whether the name of a member there is free as well. */
interface Place {
  readonly at: readonly string[]
  readonly schema: TSchema
}

interface Shape {
  readonly type?: string | readonly string[]
  readonly enum?: unknown
  readonly format?: string
  readonly properties?: Readonly<Record<string, TSchema>>
  readonly items?: TSchema
  readonly anyOf?: readonly TSchema[]
  readonly oneOf?: readonly TSchema[]
}

/** Every text without a form of its own, with one in each object that is free. */
function textsIn(schema: TSchema, at: readonly string[] = []): Place[] {
  const { type, enum: words, format, properties, items, anyOf, oneOf } = schema as Shape
  const isText = [type].flat().includes('string') && !words && !format
  const isFree = type === 'object' && properties === undefined
  return [
    ...(isText ? [{ at, schema }] : []),
    ...(isFree ? [{ at: [...at, 'free'], schema }] : []),
    ...Object.entries(properties ?? {}).flatMap(([name, one]) => textsIn(one, [...at, name])),
    ...(items ? textsIn(items, [...at, '0']) : []),
    ...[...(anyOf ?? []), ...(oneOf ?? [])].flatMap((one) => textsIn(one, at)),
  ]
}

/** One text on its way: who sends it, and where it stands. */
interface Sending {
  readonly endpoint: Endpoint
  readonly at: readonly string[]
  readonly caller: CallerName
  /** As `POST /api/crm contact/name`. */
  readonly place: string
  /** Whether its pattern lets letters through that are not those of English. */
  readonly isFreeText: boolean
}

/** One caller of each kind: what the roles of staff may write differs, and not how it is kept. */
const kinds: readonly CallerName[] = ['nobody', 'customer', 'order token', 'admin']

const sendings: readonly Sending[] = endpoints.flatMap((endpoint) =>
  textsIn(endpoint.contract.body ?? {}).flatMap(({ at, schema }) =>
    callersOf(endpoint.contract.access)
      .filter((caller) => kinds.includes(caller))
      .map((caller) => ({
        endpoint,
        at,
        caller,
        place: `${nameOf(endpoint)} ${at.join('/')}`,
        isFreeText: takesLetters(schema as { pattern?: string }),
      })),
  ),
)

function takesLetters({ pattern }: { readonly pattern?: string }): boolean {
  const matches = new RegExp(pattern ?? '', 'u')
  return ['ñé', 'ñé@example.com'].some((text) => matches.test(text))
}

/** What is compared, or kept as a hash, is nowhere to be read; passwords have a proof below. */
const unread =
  /^POST \/api\/auth\/(.*\/)?(login|setup|verify|forgot|reset|change|disable) |register password$/

/** Free by their form, and yet the names of something that has to be there. */
const names = [
  'POST /api/orders items/0/options/free',
  'POST /api/checkout/process items/0/options/free',
  'POST /api/checkout/process orderId',
  'POST /api/notifications/email data/free',
]

/** What has to stand beside the text, by what the route begins with. */
const companions: readonly (readonly [RegExp, Readonly<Record<string, unknown>>])[] = [
  [/^POST \/api\/orders \S+ by admin/, { 'customer/email': 'a@example.com', 'customer/name': 'A' }],
  [
    /^PATCH \/api\/services\/:id options/,
    {
      'options/0/key': 'speed',
      'options/0/name': 'Speed',
      'options/0/choices/0/key': 'express',
      'options/0/choices/0/name': 'Express',
      'options/0/choices/0/priceDelta': 0,
      'options/0/required': false,
    },
  ],
]

/** Where there is one of each address. */
const takesFreshAddress = /^POST \/api\/(auth\/register|users|customers) (?!email)/

let count = 0

/** The request, with the text as JSON has it. */
function bytesFor({ endpoint, at, caller, place }: Sending, json: string): Buffer {
  const known = party.get(caller)
  // Money is recorded for what is not paid yet, which is the order of the customer.
  const owner = party.get(endpoint.path.endsWith('/payments') ? 'customer' : caller)
  if (!known || !owner) throw new Error(`nobody is ${caller}`)
  const who = { ...known, things: owner.things }
  if (endpoint.contract.upload) {
    const text = JSON.parse(json) as string
    return bytesOf(
      app,
      { endpoint, caller, changes: [{ in: 'form', field: at.join('/'), text }] },
      who,
    )
  }
  const beside = companions.find(([route]) => route.test(`${place} by ${caller}`))?.[1] ?? {}
  const address = takesFreshAddress.test(place) ? { email: `fresh${count}@example.com` } : {}
  const changes: Attack['changes'] = Object.entries({ ...beside, ...address })
    .filter(([name]) => name !== at.join('/'))
    .map(([name, text]) => ({ in: 'body', at: name.split('/'), json: JSON.stringify(text) }))
  const all: Attack['changes'] = [...changes, { in: 'body', at, json }]
  return bytesOf(app, { endpoint, caller, changes: all }, who)
}

interface Written {
  readonly isTaken: boolean
  readonly complaints: readonly string[]
}

/** Sends the text and, where it was taken, reads it as staff. */
async function writeAndRead(sending: Sending, odd: string): Promise<Written> {
  const { place } = sending
  count += 1
  // Between others, and at both ends, where trimming would show.
  const end = /email$|\/email to$/.test(place) ? '@example.com' : ''
  const text = `${odd}a${odd}${count}${odd || '.'}${end}`
  const write = async () => {
    const bytes = bytesFor(sending, JSON.stringify(text))
    const target = bytes.toString('latin1').split(' ', 2)[1] ?? ''
    return { target, reply: await sendRaw(app.url, bytes) }
  }
  let { target, reply } = await write()
  if (reply.status === 409 && !unread.test(place)) {
    // An earlier write used up what it was about.
    party = await gather(app)
    ;({ target, reply } = await write())
  }
  const complaints = complaintsAbout(reply)
  const isTaken = reply.status < 300
  if (!isTaken || unread.test(place)) return { isTaken, complaints }
  const found = rows[place]
    ? (await app.sql(rows[place])).map((row) => row['text'])
    : textsOf(await readBack(target, reply))
  const isKept = (one: unknown): boolean =>
    framed.test(place) ? String(one).includes(text) : one === text
  if (!found.some(isKept)) complaints.push(`gives back ${JSON.stringify(found).slice(0, 500)}`)
  return { isTaken, complaints }
}

/** A mail is a letter around what staff wrote. */
const framed = /^POST \/api\/notifications\/email (text|html)$/

/** What no reply tells, not even to staff. */
const rows: Readonly<Record<string, string>> = {
  'PATCH /api/orders/:id/status reason': 'select close_reason as text from orders',
  'POST /api/orders/:id/payments reference': 'select reference as text from payments',
}

/** As staff: what was written itself, or what it belongs to. */
async function readBack(target: string, reply: RawReply): Promise<unknown> {
  const { id, number, order, user } = JSON.parse(reply.body) as {
    id?: string
    number?: string
    order?: { id: string }
    user?: { customerId: string }
  }
  const above = target.slice(0, target.lastIndexOf('/'))
  const own = id ?? number
  const addresses = [
    `/api/customers/${user?.customerId}`,
    `/api/orders/${order?.id}`,
    // At its own address a document is its bytes.
    ...(target.startsWith('/api/documents') ? ['/api/documents?limit=100'] : []),
    `${target}/${own}`,
    `${above}/${own}`,
    target,
    above,
  ]
  const address = addresses.find(isReadable)?.slice(1)
  return (await app.request(`GET /${address}`, { token: await app.as('admin') })).body
}

function isReadable(address: string): boolean {
  return endpoints.some(({ method, path }) => {
    const one = path.replaceAll(/:\w+/g, '(\\w+_\\w{26}|C-\\d+)')
    const isOne = path.includes(':') && new RegExp(`^${one}$`).test(address)
    return method === 'GET' && (isOne || `${path}?limit=100` === address)
  })
}

/** Every text of a JSON value, and the name of every member. */
function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, member]) => [name, ...textsOf(member)])
}

promise(
  61,
  'every text that is taken is read back in the same code points',
  async (proof) => {
    const failures: string[] = []
    const taking = new Map<string, number>()
    const tell = async (sending: Sending, what: string, odd: string): Promise<boolean> => {
      const { isTaken, complaints } = await writeAndRead(sending, odd)
      const { place, caller } = sending
      if (isTaken) taking.set(place, (taking.get(place) ?? 0) + 1)
      failures.push(...complaints.map((one) => `${what} in ${place} by ${caller}: ${one}`))
      return isTaken
    }
    const all = keepable.map(([, text]) => text).join('')
    for (const sending of sendings) {
      if (await tell(sending, 'everything', all)) continue
      // One of them is not taken there: the others are to be told apart from it.
      const isTaken = await tell(sending, 'plain', '')
      const tried = isTaken && sending.isFreeText ? keepable : keepable.slice(0, 2)
      for (const [what, odd] of tried) await tell(sending, what, odd)
    }
    expect(failures).toEqual([])
    const untaken = sendings.filter(({ place, isFreeText }) => isFreeText && !taking.has(place))
    const unproved = untaken.map(({ place }) => place).filter((place) => !unread.test(place))
    expect(new Set(unproved), 'the free texts that no request got through').toEqual(new Set(names))
    proof.measured(
      `${places.length} texts of the API by everybody who may write them, ${count} requests`,
    )
    proof.measured(`${taking.size} took what was sent and gave it back exactly`)
  },
  { timeoutMs: 120_000 },
)

/** The first caller of each place: how it is read does not depend on who sends it. */
const places = sendings.filter(
  ({ place }, index) => sendings.findIndex((other) => other.place === place) === index,
)

const mark = 'stray:'

/** The request with bytes in the text that no text of JavaScript can have. */
function withStrayBytes(sending: Sending, stray: readonly number[]): Buffer {
  const bytes = bytesFor(sending, JSON.stringify(`a${mark}${'~'.repeat(stray.length)}b`))
  const at = bytes.indexOf(mark) + mark.length
  stray.forEach((byte, index) => bytes.writeUInt8(byte, at + index))
  return bytes
}

promise(
  61,
  'what is no text of UTF-8, or holds a NUL, is 400 wherever it stands',
  async (proof) => {
    const failures: string[] = []
    let sent = 0
    const expectRefusal = async (told: string, bytes: Buffer): Promise<void> => {
      const reply = await sendRaw(app.url, bytes)
      sent += 1
      const { code } = JSON.parse(reply.body || '{}') as { code?: string }
      const complaints = complaintsAbout(reply)
      if (reply.status !== 400) complaints.push(`${reply.status} ${code}`)
      failures.push(...complaints.map((one) => `${told}: ${one}`))
    }
    for (const sending of places) {
      const { place, endpoint } = sending
      for (const [what, stray] of strayBytes) {
        await expectRefusal(`${what} in ${place}`, withStrayBytes(sending, stray))
      }
      if (endpoint.contract.upload) continue
      for (const [what, escaped] of escapes) {
        await expectRefusal(`${what} in ${place}`, bytesFor(sending, `"${escaped}"`))
        const member = `{"${escaped}":1}`
        await expectRefusal(`a member named ${what} in ${place}`, bytesFor(sending, member))
      }
    }
    expect(failures).toEqual([])
    proof.measured(`${sent} texts with ${strayBytes.length + escapes.length} faults: each 400`)
  },
  { timeoutMs: 120_000 },
)

promise(
  61,
  'a password is kept whole, and is the same in either form of Unicode',
  async (proof) => {
    const signIn = async (email: string, password: string): Promise<number> =>
      (await app.request('POST /api/auth/login', { body: { email, password } })).status
    let kept = 0
    for (const [index, [what, odd]] of keepable.entries()) {
      const email = `odd${index}@example.com`
      const password = `${odd}seven ${odd} quiet otters${odd}`
      const body = { email, password, name: 'Odd' }
      const made = await app.request('POST /api/auth/register', { body })
      expect([what, made.status, await signIn(email, password)]).toEqual([what, 201, 200])
      for (const other of [password.slice(odd.length), password.slice(0, -odd.length)]) {
        expect([what, await signIn(email, other)]).toEqual([what, 401])
      }
      // NIST SP 800-63B-4 asks for this: keyboards differ in how they compose a letter.
      expect([what, await signIn(email, password.normalize('NFD'))]).toEqual([what, 200])
      kept += 1
    }
    proof.measured(`${kept} passwords with odd characters at both ends and between, none trimmed`)
  },
)

promise(61, 'nothing of this in an address or a header is more than a refusal', async (proof) => {
  const failures: string[] = []
  const sent = { stray: 0, odd: 0, headers: 0 }
  const send = async (told: string, attack: Attack): Promise<number> => {
    const caller = party.get(attack.caller)
    if (!caller) throw new Error(`nobody is ${attack.caller}`)
    const reply = await sendRaw(app.url, bytesOf(app, attack, caller))
    failures.push(...complaintsAbout(reply).map((one) => `${told}: ${one}`))
    return reply.status
  }
  for (const endpoint of endpoints.filter(({ method }) => method !== 'DELETE')) {
    const { path, contract } = endpoint
    const [caller = 'nobody'] = callersOf(contract.access).filter((one) => kinds.includes(one))
    const params = [...path.matchAll(/:(\w+)/g)].map(([, name = '']) => name)
    const queries = Object.keys(querySchemaOf(contract).properties)
    const changesBy = (text: string): Attack['changes'] => [
      ...queries.map((name) => ({ in: 'query' as const, query: `${name}=${text}` })),
      ...params.map((name) => ({ in: 'path' as const, name, segment: text })),
    ]
    for (const text of strayEscapes) {
      for (const change of changesBy(text)) {
        const told = `${JSON.stringify(change)} of ${nameOf(endpoint)}`
        const status = await send(told, { endpoint, caller, changes: [change] })
        if (text.includes('%00') && status < 400) failures.push(`${told}: ${status}`)
        sent.stray += 1
      }
    }
    for (const [what, odd] of keepable) {
      for (const change of changesBy(encodeURIComponent(odd))) {
        await send(`${what} in ${nameOf(endpoint)}`, { endpoint, caller, changes: [change] })
        sent.odd += 1
      }
    }
  }
  for (const odd of ['\0', '\u00ff', '\u00e2\u0080\u00ae', '\u00ed\u00a0\u0080']) {
    for (const name of ['Idempotency-Key', 'X-Request-Id', 'If-Match', 'X-Order-Token', 'Cookie']) {
      const line = `${name}: twenty-characters-and-${odd}more`
      for (const endpoint of endpoints.filter(({ path }) => path === '/api/orders')) {
        const changes: Attack['changes'] = [{ in: 'header', line }]
        const status = await send(line, { endpoint, caller: 'admin', changes })
        const isRefused = odd === '\0' || (name === 'Idempotency-Key' && endpoint.method === 'POST')
        if (isRefused && status !== 400) failures.push(`${line}: ${status}`)
        sent.headers += 1
      }
    }
  }
  expect(failures).toEqual([])
  proof.measured(`${sent.stray} faults in paths and queries, a NUL always refused`)
  proof.measured(`${sent.odd} odd texts there and ${sent.headers} in headers, 0 × 5xx`)
})
