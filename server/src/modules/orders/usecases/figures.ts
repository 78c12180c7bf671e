import { summaryFigures, type FigureSource } from '../../../platform/metrics.ts'
import { orderStatuses } from '../schema.ts'
import { countOrdersOfDay } from '../sql.ts'

/** What today has brought, by the business's own day. */
export const orderFigures: FigureSource = {
  name: 'orders',
  figures: [
    {
      name: summaryFigures.ordersToday,
      help: 'Orders placed today, by how they stand.',
      type: 'gauge',
      labels: ['status'],
    },
  ],
  read: async ({ db, now, business }) => {
    const { timeZone } = business
    const counted = await countOrdersOfDay(db, { now, timeZone })
    return orderStatuses.map((status) => ({
      figure: summaryFigures.ordersToday,
      value: counted.find((one) => one.status === status)?.orders ?? 0,
      labels: { status },
    }))
  },
}
