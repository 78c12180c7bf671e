import { summaryFigures, type FigureSource } from '../../../platform/metrics.ts'
import { listRevenueOfDay } from '../sql/index.ts'

/** What today has brought, by the business's own day. */
export const revenueFigures: FigureSource = {
  name: 'revenue',
  figures: [
    {
      name: summaryFigures.revenueToday,
      help: 'Succeeded payments less succeeded refunds of today, in minor units.',
      type: 'gauge',
      labels: ['currency'],
    },
  ],
  read: async ({ db, now, business }) => {
    const { currency: usual, timeZone } = business
    const revenue = await listRevenueOfDay(db, { now, timeZone })
    const isQuiet = revenue.every(({ currency }) => currency !== usual)
    const readings = isQuiet ? [{ currency: usual, amount: 0 }, ...revenue] : revenue
    return readings.map(({ currency, amount }) => ({
      figure: summaryFigures.revenueToday,
      value: amount,
      labels: { currency },
    }))
  },
}
