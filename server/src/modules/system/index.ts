import type { Module } from '../../http/module.ts'
import { routes } from './routes.ts'

export const systemModule: Module = {
  name: 'system',
  endpoints: routes,
  events: [],
  listeners: [],
  jobs: [],
}
