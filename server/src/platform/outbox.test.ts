import { Type } from 'typebox'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { adaActor, serveTable, staffActor, type ServedTable } from '../../test/support/table.ts'
import { newId } from '../kernel/id.ts'
import { inTx, type AppContext } from './context.ts'
import { after, createEventRegistry, defineEvent, within } from './events.ts'
import { announcement, emit, findEvent, listTimeline, relayEvents, toStored } from './outbox.ts'
import { sql } from './sql.ts'

const ThingMade = defineEvent('thing.made', {
  data: Type.Object({ size: Type.Integer(), cost: Type.Integer() }),
  customer: Type.Object({ size: Type.Integer() }),
  staff: Type.Object({ size: Type.Integer(), cost: Type.Integer() }),
})
const ThingWeighed = defineEvent('thing.weighed', { data: Type.Object({}) })

const heardWithin: string[] = []
const listeners = [
  within(ThingMade, 'note', async (ctx, event) => {
    if (event.data.size === 13) throw new Error('an odd thing')
    await ctx.db.run(sql`
      insert into rate_limits (key, hits, expires_at)
      values (${event.rootId}, ${event.data.size}, ${ctx.now})`)
    heardWithin.push(event.rootId)
  }),
  after(ThingMade, 'mail', async () => undefined),
  after(ThingMade, 'count', async () => undefined),
]

let served: ServedTable
let ctx: AppContext

beforeAll(async () => {
  served = await serveTable([], { events: [ThingMade, ThingWeighed], listeners })
  ctx = served.contextFor(staffActor)
})
afterAll(async () => {
  await served.close()
})

const make = async (size: number, context = ctx): Promise<string> => {
  const rootId = newId('ord', context.now)
  await inTx(context, (ctx) =>
    emit(ctx, ThingMade({ rootId, rootVersion: 1, data: { size, cost: 5 } })),
  )
  return rootId
}

async function jobs(): Promise<{ task: string; payload: { rootId: string; eventId: string } }[]> {
  return await served.db.many(sql`
    select job.task_identifier as task, private.payload
    from graphile_worker.jobs as job
    join graphile_worker._private_jobs as private on private.id = job.id order by job.id`)
}

async function emptyQueue(): Promise<void> {
  await served.db.run(sql`select graphile_worker.complete_jobs(array(
    select id from graphile_worker.jobs))`)
  await served.db.run(sql`delete from event_delivery where event_id <> ''`)
}

describe('emit', () => {
  test('writes the event with its actor, and runs the listeners of the same transaction', async () => {
    const rootId = await make(3)
    const [event] = await listTimeline(ctx, rootId, 'staff')
    expect(event).toMatchObject({
      type: 'thing.made',
      rootVersion: 1,
      actorKind: 'staff',
      actorId: staffActor.kind === 'staff' ? staffActor.userId : '',
      data: { size: 3, cost: 5 },
    })
    expect(event?.at).toEqual(ctx.now)
    expect(heardWithin).toContain(rootId)
  })

  test('is undone with all else when a listener within fails', async () => {
    const before = await countRows()
    await expect(make(13)).rejects.toThrow('an odd thing')
    expect(await countRows()).toEqual(before)
  })

  test('refuses two events of one version of a root', async () => {
    const rootId = await make(1)
    const again = ThingWeighed({ rootId, rootVersion: 1, data: {} })
    await expect(inTx(ctx, (ctx) => emit(ctx, again))).rejects.toMatchObject({ code: '23505' })
  })

  test('409 once another request has taken the key over', async () => {
    const lease = { keyId: 'lost', holder: 'somebody else' }
    await expect(make(1, { ...ctx, origin: { ...ctx.origin, lease } })).rejects.toMatchObject({
      status: 409,
      code: 'idempotency_in_progress',
    })
  })
})

describe('listTimeline', () => {
  test('shows each audience its own members, and events without an audience to nobody', async () => {
    const rootId = await make(4, served.contextFor(adaActor))
    const weighed = ThingWeighed({ rootId, rootVersion: 2, data: {} })
    await inTx(ctx, (ctx) => emit(ctx, weighed))
    const seen = async (audience: 'customer' | 'staff') =>
      (await listTimeline(ctx, rootId, audience)).map(({ type, data }) => ({ type, data }))
    expect(await seen('customer')).toEqual([{ type: 'thing.made', data: { size: 4 } }])
    expect(await seen('staff')).toEqual([{ type: 'thing.made', data: { size: 4, cost: 5 } }])
  })
})

describe('findEvent', () => {
  test('finds by root and id together, and nothing else', async () => {
    const rootId = await make(2)
    const [event] = await listTimeline(ctx, rootId, 'staff')
    expect(await findEvent(ctx.db, rootId, event?.id ?? '')).toMatchObject({ rootId })
    expect(await findEvent(ctx.db, 'ord_other', event?.id ?? '')).toBeUndefined()
  })
})

describe('relayEvents', () => {
  test('hands each event over once to each listener, however many relays race', async () => {
    await emptyQueue()
    const roots = []
    for (let n = 0; n < 30; n += 1) roots.push(await make(1))
    const taken = await Promise.all(
      Array.from({ length: 6 }, () => relayEvents(served.db, ctx.events)),
    )
    expect(taken.reduce((sum, count) => sum + count)).toBe(30)
    const added = await jobs()
    for (const task of ['mail', 'count']) {
      const handed = added.filter((job) => job.task === task).map(({ payload }) => payload.rootId)
      expect(handed.toSorted()).toEqual(roots.toSorted())
    }
    expect(await relayEvents(served.db, ctx.events)).toBe(0)
  })

  test('leaves an event where it is when its job cannot be added', async () => {
    await emptyQueue()
    await make(1)
    // The queue takes names of 128 characters at most.
    const unnameable = after(ThingMade, 'x'.repeat(200), async () => undefined)
    const broken = createEventRegistry([ThingMade], [unnameable], () => undefined)
    await expect(relayEvents(served.db, broken)).rejects.toThrow()
    expect(await relayEvents(served.db, ctx.events)).toBe(1)
    expect(await jobs()).toHaveLength(2)
  })

  test('adds the jobs of one root in the order of its events', async () => {
    await emptyQueue()
    const rootId = newId('ord', ctx.now)
    const versions = Array.from({ length: 20 }, (_, index) => index + 1)
    for (const rootVersion of versions) {
      // Without the listener within, which takes a root once.
      const event = toStored(ctx, ThingMade({ rootId, rootVersion, data: { size: 1, cost: 1 } }))
      await ctx.db.run(sql`with ${announcement(ctx, [event])} select 1`)
    }
    await relayEvents(served.db, ctx.events)
    const order = []
    for (const { task, payload } of await jobs()) {
      if (task !== 'mail') continue
      order.push((await findEvent(ctx.db, rootId, payload.eventId))?.rootVersion)
    }
    expect(order).toEqual(versions)
  })
})

describe('createEventRegistry', () => {
  test('refuses two events of one name', () => {
    expect(() => createEventRegistry([ThingMade, ThingMade], [], () => undefined)).toThrow(
      'two events have the same name',
    )
  })
})

async function countRows(): Promise<object> {
  return await served.db.one<object>(sql`
    select (select count(*) from events) as events,
      (select count(*) from event_delivery) as waiting`)
}
