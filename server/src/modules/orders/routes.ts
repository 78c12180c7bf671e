import { answer, endpoint, type Answer, type Endpoint } from '../../http/endpoint.ts'
import {
  amountTooLarge,
  ChangeStatus,
  exampleOrder,
  examplePlaced,
  exampleSummary,
  mixedCurrency,
  Order,
  OrderFilters,
  OrderParams,
  OrderSummary,
  PatchOrder,
  PlaceOrder,
  refundChoiceRequired,
  serviceUnavailable,
  tooManyOpenOrders,
} from './schema.ts'
import { invalidTransition } from '../../kernel/errors.ts'
import { changeStatus, getOrder, listOrders, patchOrder, placeOrderFor } from './usecases/index.ts'

export const routes: readonly Endpoint[] = [
  endpoint(
    'POST /api/orders',
    {
      summary: 'Place an order',
      description:
        'By a customer for themselves, or by staff for a customer. Prices come from the catalogue. ' +
        'The order is `pending` until it is paid and does not expire.',
      access: ['customer', 'orders:write'],
      body: PlaceOrder,
      reply: Order,
      status: 201,
      errors: [mixedCurrency, serviceUnavailable, amountTooLarge, tooManyOpenOrders],
      idempotency: { resume: async (ctx, id) => placed(await getOrder(ctx, id)) },
      example: {
        body: {
          items: [
            {
              serviceId: 'svc_01jd8q9yg8e5v9c0m4t7k2x3za',
              quantity: 1,
              options: { speed: 'express' },
              answers: { companyName: 'Analytical Engines Ltd' },
            },
          ],
          note: 'Please call before noon.',
        },
        reply: examplePlaced,
      },
    },
    async (ctx, { body }) => placed(await placeOrderFor(ctx, body)),
  ),
  endpoint(
    'GET /api/orders',
    {
      summary: 'List orders',
      description: 'A customer sees their own, staff see all.',
      access: ['customer', 'orders:read'],
      query: OrderFilters,
      list: { sorts: ['createdAt', 'total'], defaultSort: '-createdAt' },
      reply: OrderSummary,
      example: { query: { status: 'pending', limit: '20' }, reply: exampleSummary },
    },
    (ctx, { page, query }) => listOrders(ctx, { page, filters: filtersIn(query) }),
  ),
  endpoint(
    'GET /api/orders/:id',
    {
      summary: 'Read an order',
      description: 'By its id or its number, with lines, payments, case and timeline.',
      access: ['customer', 'order-token', 'orders:read'],
      params: OrderParams,
      reply: Order,
      example: { params: { id: 'B-1042' }, reply: exampleOrder },
    },
    (ctx, { params }) => getOrder(ctx, params.id),
  ),
  endpoint(
    'PATCH /api/orders/:id',
    {
      summary: 'Change an order’s note or metadata, or take its flag down',
      description:
        'JSON Merge Patch: absent members stay, null clears. `flagged` is raised by money that ' +
        'does not fit the books, and taken down with false by whoever has looked.',
      access: ['orders:write'],
      params: OrderParams,
      body: PatchOrder,
      reply: Order,
      idempotency: { resume: (ctx, _id, { params }) => getOrder(ctx, params['id'] ?? '') },
      example: {
        params: { id: 'B-1042' },
        body: { note: 'Customer prefers e-mail.' },
        reply: { ...exampleOrder, note: 'Customer prefers e-mail.', version: 6 },
      },
    },
    (ctx, { params, body, ifMatch }) => patchOrder(ctx, params.id, { patch: body, ifMatch }),
  ),
  endpoint(
    'PATCH /api/orders/:id/status',
    {
      summary: 'Move an order along',
      description:
        'Cancelling an order with money kept needs `refund`; `full` also needs payments:write.',
      access: ['orders:write', 'orders:status'],
      params: OrderParams,
      body: ChangeStatus,
      reply: Order,
      errors: [invalidTransition, refundChoiceRequired],
      // The key may name the refund that came of it.
      idempotency: { resume: (ctx, _id, { params }) => getOrder(ctx, params['id'] ?? '') },
      example: {
        params: { id: 'B-1042' },
        body: { status: 'in_progress' },
        reply: { ...exampleOrder, status: 'in_progress', version: 6 },
      },
    },
    (ctx, { params, body, ifMatch }) => changeStatus(ctx, params.id, { ...body, ifMatch }),
  ),
]

/** The filters of the query, without the members that every list has. */
function filtersIn(query: OrderFilters): OrderFilters {
  const { status, paymentStatus, customerId, q, createdFrom, createdTo, flagged } = query
  const given = { status, paymentStatus, customerId, q, createdFrom, createdTo, flagged }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

/** A new order, with its own address. */
function placed(order: Order): Answer<Order> {
  return answer(order, { headers: { Location: `/api/orders/${order.id}` } })
}
