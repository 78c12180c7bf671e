import type { Module } from '../../http/module.ts'
import { events } from './events.ts'
import { jobs } from './jobs.ts'
import { listeners } from './listeners.ts'
import { routes } from './routes.ts'
import { paymentFigures, paymentsCheck } from './usecases/index.ts'

export const checkoutModule: Module = {
  name: 'checkout',
  endpoints: routes,
  events,
  listeners,
  jobs,
  checks: [paymentsCheck],
  figures: [paymentFigures],
}

export { recordPayment, requestRefund } from './usecases/index.ts'
