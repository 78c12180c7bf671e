import {
  forbidden,
  invalidInputAt,
  invalidTransition,
  notFound,
  preconditionFailed,
} from '../../../kernel/errors.ts'
import { mergePatch } from '../../../kernel/merge-patch.ts'
import { isSmallMetadata } from '../../../kernel/shapes.ts'
import { inTx, type Context, type TxContext } from '../../../platform/context.ts'
import { emit } from '../../../platform/outbox.ts'
import { reserveFullRefund } from '../../payments/index.ts'
import { OrderCancelled, OrderConfirmed, OrderStatusChanged, OrderUpdated } from '../events.ts'
import { allowedTransitions, canBecome } from '../rules.ts'
import {
  refundChoiceRequired,
  type ChangeStatus,
  type Order,
  type OrderStatus,
  type PatchOrder,
} from '../schema.ts'
import * as sql from '../sql.ts'
import type { OrderRow } from '../sql.ts'
import { readWhole, requireOwnOrder } from './read-orders.ts'
import { writeLedger } from './settle-ledger.ts'

/** A change with the version that the client has seen; null where it does not care. */
export interface Conditional {
  readonly ifMatch: number | null
}

/** JSON Merge Patch of what staff may write on an order; 412 where it has another version. */
export async function patchOrder(
  ctx: Context,
  idOrNumber: string,
  { patch, ifMatch }: Conditional & { patch: PatchOrder },
): Promise<Order> {
  const { id } = await requireOwnOrder(ctx, idOrNumber)
  return await inTx(ctx, async (ctx) => {
    const order = await lockVersion(ctx, id, ifMatch)
    const metadata = metadataAfter(order.metadata, patch.metadata)
    const note = patch.note === undefined ? order.note : patch.note
    const flagged = patch.flagged ?? order.flagged
    const row = await sql.updateOrder(ctx.db, id, { note, metadata, flagged }, ctx.now)
    const fields = Object.keys(patch)
    await emit(ctx, OrderUpdated({ rootId: id, rootVersion: row.version, data: { fields } }))
    return (await readWhole(ctx, row)).order
  })
}

/** Moves the order along its machine; 409 with the allowed states where it may not go. */
export async function changeStatus(
  ctx: Context,
  idOrNumber: string,
  { ifMatch = null, ...change }: ChangeStatus & Partial<Conditional>,
): Promise<Order> {
  const { id } = await requireOwnOrder(ctx, idOrNumber)
  return await inTx(ctx, async (ctx) => {
    const order = await lockVersion(ctx, id, ifMatch)
    requireAllowed(order, change.status)
    const row =
      change.status === 'cancelled'
        ? await cancelWithMoney(ctx, order, change)
        : await moveTo(ctx, order, change)
    return (await readWhole(ctx, row)).order
  })
}

/**
 * Cancels in the caller's transaction, under the order's lock. What the provider must be told
 * follows after the commit: the live payment is ended, and money that still arrives goes back.
 */
export async function cancelOrder(
  ctx: TxContext,
  order: OrderRow,
  { reason, kind, refund }: { reason: string | null; kind: string; refund: 'full' | 'none' },
): Promise<OrderRow> {
  const facts = refund === 'full' ? await reserveFullRefund(ctx, order.id, 'cancelled') : []
  const refunding = facts.length > 0 ? await writeLedger(ctx, order, facts) : order
  const version = refunding.version + 1
  const row = await sql.setStatus(
    ctx.db,
    order.id,
    { status: 'cancelled', reason, isClosed: true, isStarted: false, version },
    ctx.now,
  )
  const data = { from: order.status, reason: kind, refund }
  await emit(ctx, OrderCancelled({ rootId: order.id, rootVersion: version, data }))
  return row
}

/** The order's lock, for who has seen it as it is. */
async function lockVersion(
  ctx: TxContext,
  orderId: string,
  ifMatch: number | null,
): Promise<OrderRow> {
  const order = await sql.lockOrder(ctx.db, orderId)
  if (!order) throw notFound({ detail: 'There is no such order.' })
  if (ifMatch !== null && order.version !== ifMatch) throw preconditionFailed()
  return order
}

/** Null clears the whole; what is merged has the bounds of what is sent. */
function metadataAfter(
  before: OrderRow['metadata'],
  patch: PatchOrder['metadata'],
): OrderRow['metadata'] {
  if (patch === undefined) return before
  const metadata = patch === null ? {} : (mergePatch(before, patch) as OrderRow['metadata'])
  if (isSmallMetadata(metadata)) return metadata
  const message = 'may have at most 50 members and 16 KiB'
  throw invalidInputAt({ pointer: '/metadata', code: 'maxBytes', message })
}

async function cancelWithMoney(
  ctx: TxContext,
  order: OrderRow,
  { reason, refund }: ChangeStatus,
): Promise<OrderRow> {
  const kept = order.paid - order.refunded
  if (kept > 0 && refund === undefined) throw refundChoiceRequired()
  if (kept > 0 && refund === 'full' && !mayRefund(ctx)) {
    throw forbidden({ detail: 'Giving money back needs the permission payments:write.' })
  }
  const choice = kept > 0 && refund === 'full' ? 'full' : 'none'
  return await cancelOrder(ctx, order, { reason: reason ?? null, kind: 'staff', refund: choice })
}

async function moveTo(
  ctx: TxContext,
  order: OrderRow,
  { status, reason }: ChangeStatus,
): Promise<OrderRow> {
  const version = order.version + 1
  const row = await sql.setStatus(
    ctx.db,
    order.id,
    {
      status,
      reason: reason ?? null,
      isClosed: status === 'completed',
      isStarted: status === 'in_progress',
      version,
    },
    ctx.now,
  )
  const fact = { rootId: order.id, rootVersion: version }
  const isFirstConfirmation = order.status === 'pending' && status === 'confirmed'
  await emit(
    ctx,
    isFirstConfirmation
      ? OrderConfirmed({ ...fact, data: {} })
      : OrderStatusChanged({ ...fact, data: { from: order.status, to: status } }),
  )
  // A listener within the transaction may have written on the order: its case is then in the row.
  return isFirstConfirmation ? ((await sql.findOrder(ctx.db, order.id)) ?? row) : row
}

function requireAllowed(order: OrderRow, to: OrderStatus): void {
  if (canBecome(order, to)) return
  const allowed = allowedTransitions(order)
  const blockedBy = allowed.find((one) => one.to === to)?.blockedBy ?? null
  throw invalidTransition({
    detail: `An order that is ${order.status} cannot become ${to} now.`,
    members: { from: order.status, to, blockedBy, allowedTransitions: allowed },
  })
}

function mayRefund({ actor }: Context): boolean {
  return (
    actor.kind === 'system' || (actor.kind === 'staff' && actor.permissions.has('payments:write'))
  )
}
