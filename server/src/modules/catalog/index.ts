import type { Module } from '../../http/module.ts'
import { catalogEvents } from './events.ts'
import { jobs } from './jobs.ts'
import { routes } from './routes.ts'

export type { Service, ServiceOption } from './schema.ts'
export { searchVector } from './rules/search.ts'
export { recountServices } from './sql/service-writes.ts'
export { createCategory, listCategories } from './usecases/categories.ts'
export { listServicesForSale } from './usecases/for-sale.ts'
export { getService, listServices } from './usecases/read-services.ts'
export { createService } from './usecases/services.ts'

export const catalogModule: Module = {
  name: 'catalog',
  endpoints: routes,
  events: catalogEvents,
  listeners: [],
  jobs,
}
