import type { Module } from '../../http/module.ts'
import { events } from './events.ts'
import { routes } from './routes.ts'
import { checks } from './usecases/checks.ts'
import { figures } from './usecases/figures.ts'

export const systemModule: Module = {
  name: 'system',
  endpoints: routes,
  events,
  listeners: [],
  jobs: [],
  checks,
  figures,
}
