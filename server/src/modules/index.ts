import type { Module } from '../http/module.ts'
import { catalogModule } from './catalog/index.ts'
import { checkoutModule } from './checkout/index.ts'
import { crmModule } from './crm/index.ts'
import { documentsModule } from './documents/index.ts'
import { identityModule } from './identity/index.ts'
import { notificationsModule } from './notifications/index.ts'
import { ordersModule } from './orders/index.ts'
import { paymentsModule } from './payments/index.ts'
import { systemModule } from './system/index.ts'

/** The modules, in the order of the module map: whom others use stands first. */
export const modules: readonly Module[] = [
  systemModule,
  identityModule,
  catalogModule,
  paymentsModule,
  ordersModule,
  checkoutModule,
  documentsModule,
  crmModule,
  notificationsModule,
]
