import { unauthorized } from '../../../kernel/errors.ts'
import { isId } from '../../../kernel/id.ts'
import { dayMs, later } from '../../../kernel/time.ts'
import type { Actor, AppContext } from '../../../platform/context.ts'
import type { Secrets } from '../../../platform/secrets.ts'
import * as sql from '../sql.ts'
import type { OrderRow } from '../sql.ts'

/** How long a guest may come back after the order was completed or cancelled. */
const openAfterCloseMs = 30 * dayMs

/** What a guest shows for one order: an HMAC over its id and token version, stored nowhere. */
export function orderTokenOf(
  secrets: Secrets,
  { id, tokenVersion }: Pick<OrderRow, 'id' | 'tokenVersion'>,
): string {
  return `${id}.${secrets.sign('order-token', `${id}:${tokenVersion}`)}`
}

/** Throws 401 for a token that is wrong, withdrawn, or too long after the order's end. */
export async function authenticateOrderToken(
  ctx: Pick<AppContext, 'db' | 'now' | 'secrets'>,
  token: string,
): Promise<Actor> {
  const [id = '', signature = ''] = token.split('.')
  if (!isId('ord', id)) throw unauthorized()
  const order = await sql.findOrder(ctx.db, id)
  if (!order) throw unauthorized()
  if (!ctx.secrets.verify('order-token', `${id}:${order.tokenVersion}`, signature)) {
    throw unauthorized()
  }
  if (order.closedAt && later(order.closedAt, openAfterCloseMs) <= ctx.now) throw unauthorized()
  return { kind: 'order', orderId: id, customerId: order.customerId }
}
