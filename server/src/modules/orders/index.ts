import type { Module } from '../../http/module.ts'
import { events } from './events.ts'
import { listeners } from './listeners.ts'
import { routes } from './routes.ts'
import { orderFigures } from './usecases/index.ts'
import { orderSubject } from './usecases/order-subject.ts'

export const ordersModule: Module = {
  name: 'orders',
  endpoints: routes,
  events,
  listeners,
  jobs: [],
  subjects: [orderSubject],
  figures: [orderFigures],
}

export { OrderCancelled, OrderConfirmed, OrderPlaced } from './events.ts'
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
  auditMoney,
  authenticateOrderToken,
  cancelOrder,
  changeStatus,
  findMoneyDrift,
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
  type MoneyDrift,
  type WholeOrder,
} from './usecases/index.ts'
