import type { Module } from '../../http/module.ts'
import { events } from './events.ts'
import { jobs } from './jobs.ts'
import { listeners } from './listeners.ts'
import { routes } from './routes.ts'

export const checkoutModule: Module = {
  name: 'checkout',
  endpoints: routes,
  events,
  listeners,
  jobs,
}

export { recordPayment } from './usecases/index.ts'
