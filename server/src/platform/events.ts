import type { Static, TObject } from 'typebox'
import type { AppContext, TxContext } from './context.ts'

/** Who may read an event in a timeline; everything else stays with the audit trail. */
export type Audience = 'customer' | 'staff'

/** A fact as it stands in the events table. */
export interface StoredEvent<Data = unknown> {
  readonly id: string
  readonly rootId: string
  readonly rootVersion: number
  readonly type: string
  readonly at: Date
  readonly actorId: string | null
  readonly actorKind: string
  readonly data: Data
}

/** A fact about to be written; `rootVersion` is the version that it gives its aggregate. */
export interface NewEvent<Data = unknown> {
  readonly type: EventType
  readonly rootId: string
  readonly rootVersion: number
  readonly data: Data
  /** What the request made, where that is not the aggregate itself: a payment, not its order. */
  readonly resourceId?: string
}

/** A fact whose place in its aggregate's history is not given yet. */
export type Fact = Pick<NewEvent, 'type' | 'data' | 'resourceId'>

export interface EventType {
  readonly name: string
  readonly data: TObject
  /** What each audience may see of it, as a schema: absent means nothing at all. */
  readonly audiences: Readonly<Partial<Record<Audience, TObject>>>
}

export interface DefinedEvent<S extends TObject> extends EventType {
  (fact: { rootId: string; rootVersion: number; data: Static<S> }): NewEvent<Static<S>>
  readonly data: S
}

/**
 * Declares an event. Its data holds ids, amounts, states and field names, never names, addresses,
 * free text, tokens or hashes: events cannot be erased, people can.
 */
export function defineEvent<S extends TObject>(
  name: string,
  { data, ...audiences }: { data: S; customer?: TObject; staff?: TObject },
): DefinedEvent<S> {
  const type = { data, audiences }
  const make = (fact: { rootId: string; rootVersion: number; data: Static<S> }) => ({
    type: event as EventType,
    ...fact,
  })
  // A function's own `name` is read-only: only defineProperty can give it the event's.
  const event = Object.defineProperty(Object.assign(make, type), 'name', { value: name })
  return event
}

/** The fact alone, for whoever will give it its root and version. */
export function factOf<S extends TObject>(event: DefinedEvent<S>, data: Static<S>): Fact {
  return { type: event, data }
}

/** Runs inside the transaction of the fact: for what must never be missing beside it. */
export interface WithinListener {
  readonly when: 'within'
  readonly event: EventType
  readonly name: string
  run(ctx: TxContext, event: StoredEvent): Promise<void>
}

/** Runs after the commit as a job with retries: for mails and vendors. It must bear repeats. */
export interface AfterListener {
  readonly when: 'after'
  readonly event: EventType
  readonly name: string
  run(ctx: AppContext, event: StoredEvent): Promise<void>
}

export type Listener = WithinListener | AfterListener

export function within<S extends TObject>(
  event: DefinedEvent<S>,
  name: string,
  run: (ctx: TxContext, event: StoredEvent<Static<S>>) => Promise<void>,
): Listener {
  return { when: 'within', event, name, run: (ctx, stored) => run(ctx, typed(stored)) }
}

export function after<S extends TObject>(
  event: DefinedEvent<S>,
  name: string,
  run: (ctx: AppContext, event: StoredEvent<Static<S>>) => Promise<void>,
): Listener {
  return { when: 'after', event, name, run: (ctx, stored) => run(ctx, typed(stored)) }
}

/** All events and who hears them: made once, in `app.ts`. */
export interface EventRegistry {
  readonly types: ReadonlyMap<string, EventType>
  readonly within: ReadonlyMap<string, readonly WithinListener[]>
  readonly after: ReadonlyMap<string, readonly AfterListener[]>
  /** Tells the relay of this process that something was committed. */
  wake(): void
  /** How many of each type this process has handed over: each event counts on one node only. */
  readonly handedOver: Map<string, number>
}

export function createEventRegistry(
  types: readonly EventType[],
  listeners: readonly Listener[],
  wake: () => void,
): EventRegistry {
  const byName = new Map(types.map((type) => [type.name, type]))
  if (byName.size !== types.length) throw new Error('two events have the same name')
  const within = listeners.filter((listener) => listener.when === 'within')
  const after = listeners.filter((listener) => listener.when === 'after')
  return {
    types: byName,
    within: byEvent(within),
    after: byEvent(after),
    wake,
    handedOver: new Map(),
  }
}

/** `Map.groupBy` needs Node 21. */
function byEvent<L extends Listener>(listeners: readonly L[]): Map<string, L[]> {
  const groups = new Map<string, L[]>()
  for (const listener of listeners) {
    const { name } = listener.event
    groups.set(name, [...(groups.get(name) ?? []), listener])
  }
  return groups
}

/** The name of an event vouches for its data: `emit` takes it only through the definition. */
function typed<Data>(event: StoredEvent): StoredEvent<Data> {
  return event as StoredEvent<Data>
}
