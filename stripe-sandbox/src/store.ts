import { ApiError, ParameterError } from './errors.ts'
import { createCollection, type Collection } from './collection.ts'
import type { Journal, Write } from './journal.ts'
import { INDEXED_FIELDS, KINDS, type Kind, type Records } from './records.ts'

/** A sandbox that is never emptied must not eat its host. */
const MAX_RECORDS = 500_000

export interface Store {
  find<K extends Kind>(kind: K, id: string): Records[K] | undefined
  values<K extends Kind>(kind: K): Iterable<Records[K]>
  newestFirst<K extends Kind>(kind: K): Iterable<Records[K]>
  having<K extends Kind>(kind: K, field: string, value: string): Records[K][]
  count(kind: Kind): number
  /** Whether there are so many records that nothing more may be created. */
  isFull(): boolean
  put<K extends Kind>(kind: K, record: Records[K]): void
  remove(kind: Kind, id: string): void
  /**
   * Runs the work as one transaction: all of its writes reach the journal before it returns, or
   * none.
   */
  transact<T>(work: () => T): T
  /** Calls back after each transaction that wrote records of this kind, with their ids. */
  onCommit(kind: Kind, listener: (ids: string[]) => void): void
  /** Every record, as the writes that would make it; the content of a compacted journal. */
  snapshot(): Write[]
}

interface Undo {
  kind: Kind
  id: string
  before: { id: string } | undefined
}

type Collections = { [K in Kind]: Collection<Records[K]> }

export function createStore(journal: Journal): Store {
  const collections = Object.fromEntries(
    KINDS.map((kind) => [kind, createCollection(INDEXED_FIELDS[kind] ?? [])]),
  ) as unknown as Collections
  const listeners: { kind: Kind; listener: (ids: string[]) => void }[] = []
  let transaction: { writes: Write[]; undo: Undo[] } | undefined
  let total = 0

  const anyCollection = (kind: Kind) => collections[kind] as unknown as Collection<{ id: string }>

  function apply(write: Write): Undo {
    const collection = anyCollection(write.kind)
    const id = write.put?.id ?? write.remove ?? ''
    const before = collection.find(id)
    const sizeBefore = collection.size
    if (write.put === undefined) collection.remove(id)
    else collection.put(write.put)
    total += collection.size - sizeBefore
    return { kind: write.kind, id, before }
  }

  function write(change: Write): void {
    if (transaction === undefined) throw new Error('A write needs a transaction around it.')
    transaction.undo.push(apply(change))
    transaction.writes.push(change)
  }

  function rollBack(undo: Undo[]): void {
    for (const { kind, id, before } of undo.toReversed()) {
      apply(before === undefined ? { kind, remove: id } : { kind, put: before })
    }
  }

  function transact<T>(work: () => T): T {
    if (transaction !== undefined) return work()
    const current = { writes: [] as Write[], undo: [] as Undo[] }
    transaction = current
    let result: T
    try {
      result = work()
      if (current.writes.length > 0) journal.append(current.writes)
    } catch (error) {
      rollBack(current.undo)
      throw error
    } finally {
      transaction = undefined
    }
    announce(current.writes, listeners)
    return result
  }

  for (const change of journal.replay()) apply(change)

  return {
    find: (kind, id) => collections[kind].find(id),
    values: (kind) => collections[kind].values(),
    newestFirst: (kind) => collections[kind].newestFirst(),
    having: (kind, field, value) => collections[kind].having(field, value),
    count: (kind) => collections[kind].size,
    isFull: () => total >= MAX_RECORDS,
    put: (kind, record) => write({ kind, put: record }),
    remove: (kind, id) => write({ kind, remove: id }),
    transact,
    onCommit: (kind, listener) => void listeners.push({ kind, listener }),
    snapshot: () =>
      KINDS.flatMap((kind) => [...anyCollection(kind).values()].map((put) => ({ kind, put }))),
  }
}

/** As `transact`, but what was written before an ApiError stays: a decline is a fact too. */
export function transactAnswer<T>(store: Store, work: () => T): T {
  const result = store.transact(() => {
    try {
      return { value: work() }
    } catch (error) {
      if (error instanceof ApiError && !(error instanceof ParameterError)) return { error }
      throw error
    }
  })
  if ('error' in result) throw result.error
  return result.value
}

function announce(
  writes: Write[],
  listeners: { kind: Kind; listener: (ids: string[]) => void }[],
): void {
  for (const { kind, listener } of listeners) {
    const ids = writes.flatMap((change) =>
      change.kind === kind && change.put !== undefined ? [change.put.id] : [],
    )
    if (ids.length > 0) listener(ids)
  }
}
