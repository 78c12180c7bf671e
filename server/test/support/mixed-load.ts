import { setTimeout as wait } from 'node:timers/promises'
import { expectReply, request, type Reply } from './client.ts'
import { newId } from '../../src/kernel/id.ts'
import { admin, query } from './fresh-database.ts'
import { publishService } from './journey.ts'
import { pdfOfSize } from './sample-files.ts'

/** What a day at a busy business sends, the heaviest reads and writes among it. */
export interface MixedLoad {
  /** How many requests were answered. */
  count(): number
  /** Answers that are no sign of health: 5xx, and none at all. */
  readonly complaints: readonly string[]
  stop(): Promise<void>
}

export interface Stage {
  readonly url: string
  readonly staffToken: string
  readonly serviceIds: readonly string[]
}

const manyServices = 1000
const customer = { email: 'ada@example.com', password: 'engines weave algebra' }

/** A catalogue of a thousand services, and somebody who signs in. */
export async function setStage(url: string, databaseUrl: string): Promise<Stage> {
  const { accessToken: staffToken } = await expectReply(200, url, 'POST /api/auth/admin/login', {
    body: admin,
  })
  const first = await publishService(url, staffToken)
  const copies = Array.from({ length: manyServices - 1 }, () => newId('svc', new Date()))
  await query(
    databaseUrl,
    `insert into services select (jsonb_populate_record(s, jsonb_build_object(
         'id', copy, 'slug', 'copy-' || number, 'name', 'Copy ' || number))).*
       from services s, unnest('{${copies.join()}}'::text[]) with ordinality as c (copy, number)
       where s.id = '${first}'`,
  )
  const body = { ...customer, name: 'Ada Lovelace' }
  await expectReply(201, url, 'POST /api/auth/register', { body })
  return { url, staffToken, serviceIds: [first, ...copies] }
}

type Act = (stage: Stage, random: () => number) => Promise<Reply>

/** Each with how often it comes among a hundred. */
const acts: readonly (readonly [number, Act])[] = [
  [30, buyAndSend],
  [15, ({ url }, random) => request(url, `GET /api/services?q=${random().toString(36)}`)],
  [15, ({ url, staffToken: token }) => request(url, 'GET /api/orders?limit=100', { token })],
  [10, ({ url, staffToken: token }) => request(url, 'GET /api/events?limit=100', { token })],
  [10, ({ url }, random) => request(url, `GET /api/services?limit=100&q=copy%20${digit(random)}`)],
  [10, ({ url }) => request(url, 'POST /api/auth/login', { body: customer })],
  [5, setManyStatuses],
  [5, sendMegabyte],
]

export function startMixedLoad(stage: Stage, clients: number, random: () => number): MixedLoad {
  const complaints: string[] = []
  let answered = 0
  const over = new AbortController()
  const act = async (): Promise<void> => {
    const chosen = chooseAct(random() * 100)
    const { status, body } = await chosen(stage, random)
    answered += 1
    if (status >= 500) complaints.push(`${status} ${JSON.stringify(body)}`)
  }
  const running = Array.from({ length: clients }, async () => {
    while (!over.signal.aborted)
      await act().catch((error: unknown) => complaints.push(String(error)))
  })
  return {
    count: () => answered,
    complaints,
    stop: async () => {
      over.abort()
      await Promise.all(running)
    },
  }
}

function chooseAct(place: number): Act {
  let reached = 0
  const found = acts.find(([share]) => (reached += share) > place)
  return found?.[1] ?? buyAndSend
}

function digit(random: () => number): number {
  return Math.floor(random() * 10)
}

async function buyAndSend({ url, serviceIds }: Stage, random: () => number): Promise<Reply> {
  const bought = await request(url, 'POST /api/checkout/process', {
    body: {
      items: [{ serviceId: serviceIds[0], quantity: 1 }],
      customer: { email: `${random().toString(36).slice(2)}@example.com`, name: 'Grace' },
      paymentMethod: 'pm_card_visa',
    },
  })
  const { orderToken } = bought.body
  if (bought.status !== 201 || random() < 0.5) return bought
  const file = pdfOfSize(200_000)
  const body = new FormData()
  body.append('file', new Blob([new Uint8Array(file.bytes)], { type: file.type }), file.name)
  return await request(url, 'POST /api/documents/upload', { orderToken, body })
}

async function setManyStatuses({ url, staffToken, serviceIds }: Stage): Promise<Reply> {
  return await request(url, 'PATCH /api/services/bulk/status', {
    token: staffToken,
    body: { ids: serviceIds, status: 'active' },
  })
}

/** As much JSON as is read at all, to be looked through and refused. */
async function sendMegabyte({ url, staffToken, serviceIds }: Stage): Promise<Reply> {
  const ids = Array.from({ length: 31_000 }, (_, index) => serviceIds[index % 1000])
  return await request(url, 'PATCH /api/services/bulk/status', {
    token: staffToken,
    body: { ids, status: 'active' },
  })
}

/** One number of the figures that Bureau tells of itself. */
export async function readFigure({ url, staffToken }: Stage, name: string): Promise<number> {
  const { body } = await request(url, 'GET /api/system/metrics', { token: staffToken })
  const [, value] = new RegExp(`^${name} (\\S+)$`, 'm').exec(String(body)) ?? []
  if (value === undefined) throw new Error(`there is no figure ${name}`)
  return Number(value)
}

/** What `read` gives, again and again for so long. */
export async function sample<T>(
  { everyMs, forMs }: { everyMs: number; forMs: number },
  read: () => Promise<T>,
): Promise<T[]> {
  const endsAt = performance.now() + forMs
  const samples: T[] = []
  while (performance.now() < endsAt) {
    await wait(everyMs)
    samples.push(await read())
  }
  return samples
}
