import type { Module } from '../../http/module.ts'
import { events } from './events.ts'
import { routes } from './routes.ts'

export const ordersModule: Module = {
  name: 'orders',
  endpoints: routes,
  events,
  listeners: [],
  jobs: [],
}

export { OrderCancelled, OrderConfirmed } from './events.ts'
export {
  amountTooLarge,
  CustomerInput,
  exampleOrder,
  mixedCurrency,
  Order,
  OrderCase,
  OrderItems,
  OrderParams,
  serviceUnavailable,
  tooManyOpenOrders,
} from './schema.ts'
export { listExpired, lockOrder, type OrderRow } from './sql.ts'
export {
  authenticateOrderToken,
  cancelOrder,
  changeStatus,
  getOrderForCase,
  linkCase,
  listOrders,
  orderTokenOf,
  placeOrder,
  placeOrderFor,
  readWhole,
  renderCase,
  requireOwnOrder,
  setCaseStatus,
  settleLedger,
  writeLedger,
} from './usecases/index.ts'
