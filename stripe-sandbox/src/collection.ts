/** Records of one kind: by id, in order of creation, and by the indexed fields. */
export interface Collection<T extends { id: string }> {
  readonly size: number
  find(id: string): T | undefined
  put(record: T): void
  remove(id: string): void
  /** All records, oldest first. */
  values(): Iterable<T>
  /** All records, newest first. */
  newestFirst(): Iterable<T>
  /** The records whose indexed field has this value, oldest first. */
  having(field: string, value: string): T[]
}

export function createCollection<T extends { id: string }>(
  fields: readonly string[],
): Collection<T> {
  const byId = new Map<string, T>()
  const indexes = new Map(fields.map((field) => [field, new Map<string, Set<string>>()]))
  // Ids in order of creation. Removed ids stay as holes until half of the list is holes.
  let order: string[] = []

  function reindex(id: string, before: T | undefined, after: T | undefined): void {
    for (const [field, index] of indexes) {
      const old = fieldOf(before, field)
      const now = fieldOf(after, field)
      if (old === now) continue
      if (old !== undefined) {
        index.get(old)?.delete(id)
        if (index.get(old)?.size === 0) index.delete(old)
      }
      if (now !== undefined) index.set(now, (index.get(now) ?? new Set<string>()).add(id))
    }
  }

  return {
    get size() {
      return byId.size
    },
    find: (id) => byId.get(id),
    put(record) {
      const before = byId.get(record.id)
      if (before === undefined) order.push(record.id)
      byId.set(record.id, record)
      reindex(record.id, before, record)
    },
    remove(id) {
      const before = byId.get(id)
      if (before === undefined) return
      byId.delete(id)
      reindex(id, before, undefined)
      if (order.length > 64 && order.length > 2 * byId.size) order = [...byId.keys()]
    },
    values: () => byId.values(),
    *newestFirst() {
      for (let position = order.length - 1; position >= 0; position -= 1) {
        const record = byId.get(order[position] ?? '')
        if (record !== undefined) yield record
      }
    },
    having(field, value) {
      const ids = [...(indexes.get(field)?.get(value) ?? [])]
      return ids.map((id) => byId.get(id)).filter((record) => record !== undefined)
    },
  }
}

function fieldOf(record: object | undefined, field: string): string | undefined {
  if (record === undefined) return undefined
  const value = (record as Record<string, unknown>)[field]
  return typeof value === 'string' ? value : undefined
}
