import type { Id } from '../../../kernel/id.ts'
import { money, type Money } from '../../../kernel/money.ts'
import type { Context } from '../../../platform/context.ts'
import type { ServiceOption, ServiceStatus } from '../schema.ts'
import { listByIds } from '../sql/services.ts'

/** What an order needs to know of a service. Whether `status` lets it be sold, the order judges. */
export interface ServiceForSale {
  readonly id: Id<'svc'>
  readonly name: string
  readonly price: Money
  readonly options: readonly ServiceOption[]
  readonly turnaroundDays: number | null
  readonly status: ServiceStatus
}

/** The services by id, in one statement; ids that are unknown or deleted are missing in the map. */
export async function listServicesForSale(
  ctx: Context,
  ids: readonly Id<'svc'>[],
): Promise<Map<Id<'svc'>, ServiceForSale>> {
  const rows = await listByIds(ctx.db, [...new Set(ids)])
  return new Map(
    rows.map(({ priceAmount, priceCurrency, ...row }) => [
      row.id,
      { ...row, price: money(priceAmount, priceCurrency) },
    ]),
  )
}
