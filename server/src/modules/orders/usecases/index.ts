export { auditMoney, findMoneyDrift, type MoneyDrift } from './audit-money.ts'
export { cancelOrder, changeStatus, patchOrder } from './change-order.ts'
export { claimOrders } from './claim-orders.ts'
export { orderFigures } from './figures.ts'
export { linkCase, setCaseStatus } from './link-case.ts'
export { authenticateOrderToken, orderTokenOf } from './order-token.ts'
export { placeOrder, placeOrderFor } from './place-order.ts'
export {
  getOrder,
  getOrderForCase,
  listOrders,
  readWhole,
  requireOwnOrder,
  type WholeOrder,
} from './read-orders.ts'
export { renderCase } from './render-order.ts'
export { settleLedger, writeLedger } from './settle-ledger.ts'
