import { invalidInputAt, notFound, preconditionFailed } from '../../../kernel/errors.ts'
import { newId, type Id } from '../../../kernel/id.ts'
import { mergePatch } from '../../../kernel/merge-patch.ts'
import type { AppContext, TxContext } from '../../../platform/context.ts'
import { isUniqueViolation } from '../../../platform/database.ts'
import { emit } from '../../../platform/outbox.ts'
import { ServiceCreated, ServiceDeleted, ServiceUpdated } from '../events.ts'
import { problemsOf, type ProposedService } from '../rules/options.ts'
import { changedFields } from '../rules/patch.ts'
import { searchVector } from '../rules/search.ts'
import { reservedSlugs, slugFrom } from '../rules/text.ts'
import { slugTaken, type NewService, type Service, type ServicePatch } from '../schema.ts'
import { findCategory, lockTreeShared } from '../sql/categories.ts'
import {
  findFreeSlug,
  insertService,
  lockService,
  markDeleted,
  updateService as writeService,
  type ServiceRecord,
} from '../sql/service-writes.ts'
import { findService, type ServiceRow } from '../sql/services.ts'
import { changeCatalogue } from './change-catalogue.ts'
import { insertWithFreeSlug } from './slugs.ts'
import { toService } from './representation.ts'

/** A draft unless it says otherwise. 409 `slug_taken` for a given slug that is in use. */
export async function createService(ctx: AppContext, input: NewService): Promise<Service> {
  const { options = [], metadata = {}, price } = input
  refuseProblems({ slug: input.slug, price, options, metadata })
  const id = newId('svc', ctx.now)
  return await changeCatalogue(ctx, async (ctx) => {
    await lockTreeShared(ctx.db)
    const { categoryId = null, status = 'draft' } = input
    await requireCategory(ctx, categoryId)
    const record = (slug: string): ServiceRecord => ({
      id,
      slug,
      name: input.name,
      summary: input.summary ?? null,
      description: input.description ?? null,
      categoryId,
      priceAmount: price.amount,
      priceCurrency: price.currency,
      options,
      status,
      turnaroundDays: input.turnaroundDays ?? null,
      position: input.position ?? 0,
      metadata,
      search: searchVector({ summary: null, description: null, ...input }),
    })
    await insertWithFreeSlug({
      given: input.slug,
      fallback: 'service',
      proposed: slugFrom(input.name),
      isReserved: (slug) => reservedSlugs.has(slug),
      insert: (slug) => insertService(ctx.db, record(slug), ctx.now),
      findFree: (base) => findFreeSlug(ctx.db, base),
    })
    await emit(
      ctx,
      ServiceCreated({ rootId: id, rootVersion: 1, data: { status, categoryId, price } }),
    )
    return await readBack(ctx, id)
  })
}

export interface ServiceChange {
  readonly id: Id<'svc'>
  readonly patch: ServicePatch
  /** The version that the client has seen; null when any will do. */
  readonly ifMatch: number | null
}

/** Applies a merge patch. One that changes nothing raises no version and has no event. */
export async function updateService(ctx: AppContext, change: ServiceChange): Promise<Service> {
  const { id, patch, ifMatch } = change
  return await changeCatalogue(ctx, async (ctx) => {
    await lockTreeShared(ctx.db)
    const version = await lockAt(ctx, id, ifMatch)
    const before = toRecord(await readRow(ctx, id))
    const after = withPatch(before, patch)
    const fields = changedFields(wireMembers(before), wireMembers(after))
    if (fields.length > 0) {
      refuseProblems({ ...after, slug: patch.slug, price: wireMembers(after).price })
      if (fields.includes('categoryId')) await requireCategory(ctx, after.categoryId)
      await writeService(ctx.db, after, ctx.now)
      const fact = { rootId: id, rootVersion: version + 1, data: { fields } }
      await emit(ctx, ServiceUpdated(fact))
    }
    return await readBack(ctx, id)
  }).catch((error: unknown) => {
    throw isUniqueViolation(error, 'services_slug')
      ? slugTaken({ facts: { slug: patch.slug }, cause: error })
      : error
  })
}

/** Gone for everyone; lines of past orders keep what they show, and the slug is free again. */
export async function deleteService(
  ctx: AppContext,
  { id, ifMatch }: { id: Id<'svc'>; ifMatch: number | null },
): Promise<void> {
  await changeCatalogue(ctx, async (ctx) => {
    await lockTreeShared(ctx.db)
    const version = await lockAt(ctx, id, ifMatch)
    await markDeleted(ctx.db, [id], ctx.now)
    await emit(ctx, ServiceDeleted({ rootId: id, rootVersion: version + 1, data: {} }))
  })
}

/** The locked service's version; 404 when it is not there, 412 when it has another version. */
async function lockAt(ctx: TxContext, id: Id<'svc'>, ifMatch: number | null): Promise<number> {
  const version = await lockService(ctx.db, id)
  if (version === undefined) throw notFound({ facts: { service: id } })
  if (ifMatch !== null && ifMatch !== version) throw preconditionFailed({ facts: { version } })
  return version
}

async function requireCategory(ctx: TxContext, id: Id<'cat'> | null): Promise<void> {
  if (id === null || (await findCategory(ctx.db, { id }))) return
  throw invalidInputAt({
    pointer: '/categoryId',
    code: 'unknown',
    message: 'must be the id of a category',
  })
}

function refuseProblems(service: ProposedService): void {
  const problems = problemsOf(service)
  if (problems.length > 0) throw invalidInputAt(...problems)
}

async function readRow(ctx: TxContext, id: Id<'svc'>): Promise<ServiceRow> {
  const row = await findService(ctx.db, { id })
  if (!row) throw notFound({ facts: { service: id } })
  return row
}

async function readBack(ctx: TxContext, id: Id<'svc'>): Promise<Service> {
  return toService(await readRow(ctx, id))
}

function toRecord(row: ServiceRow): ServiceRecord {
  const { categorySlug: _slug, categoryName: _name, version: _version, ...rest } = row
  const { createdAt: _createdAt, updatedAt: _updatedAt, ...record } = rest
  return { ...record, search: searchVector(record) }
}

function withPatch(before: ServiceRecord, patch: ServicePatch): ServiceRecord {
  const { price, options, position, metadata, ...plain } = patch
  const after = {
    ...before,
    ...plain,
    priceAmount: price?.amount ?? before.priceAmount,
    priceCurrency: price?.currency ?? before.priceCurrency,
    options: options === undefined ? before.options : (options ?? []),
    position: position === undefined ? before.position : (position ?? 0),
    metadata:
      metadata === undefined
        ? before.metadata
        : (mergePatch(before.metadata, metadata ?? {}) as ServiceRecord['metadata']),
  }
  return { ...after, search: searchVector(after) }
}

/** The members as the wire names them: what an event may say has changed. */
function wireMembers(record: ServiceRecord) {
  const { priceAmount, priceCurrency, search: _search, ...members } = record
  return { ...members, price: { amount: priceAmount, currency: priceCurrency } }
}
