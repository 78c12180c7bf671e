import type { Sandbox } from '@bureau/stripe-sandbox'
import { setTimeout as backOff } from 'node:timers/promises'
import { secondMs } from '../../../src/kernel/time.ts'
import { openShop, runScheduled, type Shop } from '../../journeys/shop.ts'
import {
  startTestApp,
  webhookSecret,
  type Reply,
  type RequestOptions,
  type TestApp,
} from '../../support/app.ts'
import { eventually } from '../../support/eventually.ts'

/** What everybody was told by Bureau, to be held against what stands in the end. */
export interface Told {
  /** Orders by the story that they are of. */
  readonly orders: Map<number, ToldOrder>
  readonly refunds: { orderId: string; id: string; amount: number }[]
  readonly cash: { orderId: string; id: string; amount: number }[]
  readonly cancellations: { orderId: string }[]
  readonly statuses: Map<number, number>
  /** What no client should ever have been told. */
  readonly complaints: string[]
}

export interface ToldOrder {
  readonly orderId: string
  /** The name of the customer whose it is, or what a guest was given. */
  readonly payer: { readonly customer: string } | { readonly orderToken: string }
  readonly total: number
  /** Whether somebody was told that it is confirmed. */
  isConfirmed: boolean
  /** The newest version that was shown, in the order of asking. */
  version: number
}

/** Two nodes on one database and one provider, with what was told by them. */
export interface World {
  readonly nodes: readonly [TestApp, TestApp]
  readonly shop: Shop
  readonly sandbox: Sandbox
  readonly told: Told
  close(): Promise<void>
}

export async function openWorld(): Promise<World> {
  const first = await startTestApp()
  const second = await startTestApp({ beside: first })
  return {
    nodes: [first, second],
    shop: await openShop(first),
    sandbox: first.sandbox,
    told: {
      orders: new Map(),
      refunds: [],
      cash: [],
      cancellations: [],
      statuses: new Map(),
      complaints: [],
    },
    close: async () => {
      await second.close()
      await first.close()
    },
  }
}

/** The clocks of both nodes, and of the provider, which has that of the first. */
export function advance({ nodes }: World, byMs: number): void {
  for (const node of nodes) node.advance(byMs)
}

/** How the payer of an order proves to be that: a login of now. */
export async function credentialsOf(
  { nodes }: World,
  { payer }: ToldOrder,
): Promise<{ token: string } | { orderToken: string }> {
  return 'orderToken' in payer
    ? payer
    : { token: (await nodes[0].asCustomer(payer.customer)).token }
}

/** From now on the provider tells this node of its events. */
export function turnWebhooks({ nodes, sandbox }: World, turn: number): void {
  const node = nodes[turn % nodes.length] ?? nodes[0]
  sandbox.setWebhook(`${node.url}/api/webhook/stripe`, [webhookSecret])
}

/** One request to one of the nodes; nothing but 503 with `Retry-After` may be an answer over 499. */
export async function ask(
  { nodes, told }: World,
  route: `${string} /${string}`,
  options: RequestOptions,
): Promise<Reply> {
  const turn = [...told.statuses.values()].reduce((sum, count) => sum + count, 0)
  const node = nodes[turn % nodes.length] ?? nodes[0]
  const reply = await node.request(route, options)
  const { status, headers, body } = reply
  told.statuses.set(status, (told.statuses.get(status) ?? 0) + 1)
  if (status >= 500 && !(status === 503 && headers.has('retry-after'))) {
    told.complaints.push(`${route}: ${status} ${JSON.stringify(body)}`)
  }
  return reply
}

const maxTries = 15
const firstPauseMs = 20
const longestPauseMs = 1000

/**
 * The same request again while the answer says that it is worth another try, as a patient client
 * does; one that gives up has the last answer, and does not know what became of its request.
 */
export async function insist(
  world: World,
  route: `${string} /${string}`,
  options: RequestOptions,
): Promise<Reply> {
  for (let nth = 1; ; nth += 1) {
    const reply = await ask(world, route, options)
    const isTransient = [409, 429, 503].includes(reply.status) && reply.headers.has('retry-after')
    if (!isTransient || nth === maxTries) return reply
    // A second asked for is shorter here: the clock of the test is not that of the wall.
    await backOff(Math.min(firstPauseMs * 2 ** nth, longestPauseMs))
  }
}

/** As long as a worker sleeps that has found nothing. */
const idleMs = 50

/** The jobs of both nodes, over and over, until the work is done. */
export async function workBeside<T>(world: World, work: Promise<T>): Promise<T> {
  const ended = new AbortController()
  const labour = world.nodes.map(async (node) => {
    while (!ended.signal.aborted) {
      await node.runJobs()
      await backOff(idleMs)
    }
  })
  try {
    return await work
  } finally {
    ended.abort()
    await Promise.all(labour)
  }
}

/** Time passes, so that what failed has its next turn. */
async function letFailedJobsTry(world: World): Promise<void> {
  advance(world, 10 * secondMs)
  await world.nodes[0].sql(
    'update graphile_worker._private_jobs set run_at = now() where attempts > 0 and locked_at is null',
  )
}

/** A tick of the schedule of these jobs on both nodes at once. */
export async function tick({ nodes, shop }: World, ...names: readonly string[]): Promise<void> {
  for (const name of names) {
    await Promise.all(nodes.map((app) => runScheduled({ ...shop, app }, name)))
  }
}

const quietWithinMs = 120_000

/** Until all that was announced, by the provider and by ourselves, was heard and done. */
export async function untilQuiet(world: World): Promise<void> {
  const { nodes, sandbox } = world
  await eventually(
    async () => {
      await sandbox.webhooksSettled()
      await letFailedJobsTry(world)
      await Promise.all(nodes.map((node) => node.runJobs()))
      // What the jobs made the provider do, it announces.
      await sandbox.webhooksSettled()
      const open = await countOpen(world)
      if (open > 0) throw new Error(`${open} things are still to be done`)
    },
    { withinMs: quietWithinMs },
  )
}

async function countOpen({ nodes }: World): Promise<number> {
  const [open] = await nodes[0].sql(`
    select (select count(*) from provider_events where processed_at is null)
      + (select count(*) from event_delivery)
      + (select count(*) from graphile_worker.jobs where attempts < max_attempts) as things`)
  return Number(open?.['things'])
}
