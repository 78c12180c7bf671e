import { invalidInputAt } from '../../../kernel/errors.ts'
import { isId, type Id } from '../../../kernel/id.ts'
import type { AppContext, Context } from '../../../platform/context.ts'
import { ServiceDeleted, ServiceUpdated } from '../events.ts'
import {
  maxIdsInQuery,
  type BulkDeletionReport,
  type BulkStatus,
  type BulkStatusReport,
} from '../schema.ts'
import { lockTreeShared } from '../sql/categories.ts'
import { markDeleted, updateStatuses } from '../sql/service-writes.ts'
import { listByIds } from '../sql/services.ts'
import { emitAll } from './announcing.ts'
import { changeCatalogue } from './change-catalogue.ts'

/** All in one transaction. Services that have the status already count as updated. */
export async function setStatuses(ctx: AppContext, input: BulkStatus): Promise<BulkStatusReport> {
  const { status } = input
  const ids = [...new Set(input.ids)]
  const services = await changeCatalogue(ctx, async (ctx) => {
    await lockTreeShared(ctx.db)
    const services = await updateStatuses(ctx.db, ids, { status, now: ctx.now })
    const events = services.flatMap(({ id, version }) =>
      version === null
        ? []
        : [ServiceUpdated({ rootId: id, rootVersion: version, data: { fields: ['status'] } })],
    )
    await emitAll(ctx, events)
    return services
  })
  const { present, absent } = partition(ids, services)
  return { updated: present, notFound: absent }
}

/**
 * The report of a change that stands already: it sets nothing, because another may have set these
 * services differently since.
 */
export async function reportStatuses(ctx: Context, input: BulkStatus): Promise<BulkStatusReport> {
  const ids = [...new Set(input.ids)]
  const { present, absent } = partition(ids, await listByIds(ctx.db, ids))
  return { updated: present, notFound: absent }
}

/** All in one transaction. */
export async function deleteServices(
  ctx: AppContext,
  givenIds: readonly Id<'svc'>[],
): Promise<BulkDeletionReport> {
  const ids = [...new Set(givenIds)]
  const services = await changeCatalogue(ctx, async (ctx) => {
    await lockTreeShared(ctx.db)
    const services = await markDeleted(ctx.db, ids, ctx.now)
    const events = services.map(({ id, version }) =>
      ServiceDeleted({ rootId: id, rootVersion: version, data: {} }),
    )
    await emitAll(ctx, events)
    return services
  })
  const { present, absent } = partition(ids, services)
  return { deleted: present, notFound: absent }
}

/** The ids of the body, or of the address where a proxy drops the body of a DELETE. */
export function readBulkIds(input: {
  body: { ids?: Id<'svc'>[] }
  query: { ids?: string }
}): readonly Id<'svc'>[] {
  const { ids: inBody } = input.body
  const { ids: inQuery } = input.query
  if (inBody !== undefined && inQuery === undefined) return inBody
  if (inBody !== undefined || inQuery === undefined) {
    throw invalidInputAt({
      pointer: '/ids',
      code: inBody === undefined ? 'required' : 'twice',
      message: 'stand either in the body or in the address',
    })
  }
  const ids = inQuery.split(',').filter((id) => isId('svc', id))
  if (ids.length < inQuery.split(',').length || ids.length > maxIdsInQuery) {
    throw invalidInputAt({
      pointer: '/query/ids',
      code: 'ids',
      message: `must be at most ${maxIdsInQuery} ids of services with commas between them`,
    })
  }
  return ids
}

/** The ids in the order that the client gave them, by whether they were there. */
function partition(
  ids: readonly Id<'svc'>[],
  found: readonly { readonly id: Id<'svc'> }[],
): { present: Id<'svc'>[]; absent: Id<'svc'>[] } {
  const known = new Set(found.map(({ id }) => id))
  return {
    present: ids.filter((id) => known.has(id)),
    absent: ids.filter((id) => !known.has(id)),
  }
}
