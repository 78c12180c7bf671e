import { answer, endpoint, type Answer, type Endpoint } from '../../http/endpoint.ts'
import { forbidden, notFound } from '../../kernel/errors.ts'
import type { AppContext } from '../../platform/context.ts'
import {
  amountTooLarge,
  amountTooSmall,
  exampleCheckout,
  exampleConfirmed,
  examplePayment,
  exampleRefund,
  mixedCurrency,
  OrderParams,
  Payment,
  Refund,
  serviceUnavailable,
  tooManyOpenOrders,
  tooManyRefunds,
  CheckoutReply,
  ConfirmParams,
  ConfirmReply,
  Difference,
  DifferenceFilters,
  exampleDifference,
  exampleReconciliation,
  invalidSignature,
  nothingToRefund,
  orderNotPayable,
  overpayment,
  paymentActionRequired,
  paymentChoiceRequired,
  paymentInProgress,
  paymentNotCompleted,
  paymentNotStarted,
  paymentRefused,
  paymentsNotConfigured,
  ProcessCheckout,
  providerUnavailable,
  Reconciliation,
  reconciliationRunning,
  ReconciliationReport,
  RecordPayment,
  refundTooLarge,
  RequestReconciliation,
  RequestRefund,
  WebhookReply,
  wrongCurrency,
} from './schema.ts'
import {
  confirmCheckout,
  getPayment,
  getReconciliation,
  getRefund,
  getReport,
  listDifferences,
  locateOrder,
  processCheckout,
  receiveEvent,
  recordPayment,
  requestReconciliation,
  requestRefund,
  restoreSecrets,
  resumeCheckout,
} from './usecases/index.ts'

export const routes: readonly Endpoint[] = [
  endpoint(
    'GET /api/system/reconciliation',
    {
      summary: 'See how our books and the provider’s agree',
      description:
        'Each hour what was made in the last three days is compared, each night what was made in ' +
        'the last 35 and what orders show; news that was lost on its way is taken in. What a ' +
        'night found stays until the next one, or one of 35 days or more that is asked for.',
      access: ['payments:read'],
      reply: ReconciliationReport,
      example: {
        reply: {
          latest: exampleReconciliation,
          latestWide: { ...exampleReconciliation, scope: 'wide' },
          differences: [],
          runs: [exampleReconciliation],
          output: 'Our books and the provider’s agree.',
        },
      },
    },
    (ctx) => getReport(ctx),
  ),
  endpoint(
    'GET /api/system/reconciliation/differences',
    {
      summary: 'List what a comparison found',
      description: 'Of the latest that completed, where `reconciliationId` names no other.',
      access: ['payments:read'],
      query: DifferenceFilters,
      list: { sorts: ['createdAt'], defaultSort: '-createdAt' },
      reply: Difference,
      example: { query: { healed: 'false' }, reply: exampleDifference },
    },
    (ctx, { page, query }) => listDifferences(ctx, { page, filters: filtersIn(query) }),
  ),
  endpoint(
    'POST /api/system/reconciliation',
    {
      summary: 'Compare our books with the provider’s now',
      description: 'One comparison at a time; what it finds stands in the report once it ends.',
      access: ['payments:write'],
      body: RequestReconciliation,
      reply: Reconciliation,
      status: 202,
      errors: [reconciliationRunning],
      idempotency: { resume: (ctx, id) => getReconciliation(ctx, id) },
      example: {
        body: { days: 7 },
        reply: {
          ...exampleReconciliation,
          scope: 'requested',
          status: 'running',
          finishedAt: null,
          version: 1,
        },
      },
    },
    (ctx, { body }) => requestReconciliation(ctx, body),
  ),
  endpoint(
    'POST /api/checkout/process',
    {
      summary: 'Buy: place an order and begin its payment',
      description:
        'With `items` an order is placed, with `orderId` one that stands is paid. Mode `intent` ' +
        'answers a client secret for the browser, or confirms at once with `paymentMethod`; mode ' +
        '`hosted` answers the address of a payment page. A declined card is no error here: look ' +
        'at `payment.status`. An order that is placed here and too small to be charged is cancelled.',
      access: 'public',
      body: ProcessCheckout,
      reply: CheckoutReply,
      status: 201,
      limit: 'checkout',
      errors: [
        forbidden,
        notFound,
        mixedCurrency,
        serviceUnavailable,
        amountTooLarge,
        amountTooSmall,
        tooManyOpenOrders,
        orderNotPayable,
        paymentInProgress,
        paymentRefused,
        paymentsNotConfigured,
        providerUnavailable,
      ],
      idempotency: {
        resume: async (ctx, id, { body }) =>
          placed(await resumeCheckout(ctx, id, body as ProcessCheckout)),
        restoreSecrets: (ctx, reply) => restoreSecrets(ctx, reply),
      },
      example: {
        body: {
          items: [{ serviceId: 'svc_01jd8q9yg8e5v9c0m4t7k2x3za', quantity: 1 }],
          customer: { email: 'ada@example.com', name: 'Ada Lovelace' },
          paymentMethod: 'pm_card_visa',
        },
        reply: exampleCheckout,
      },
    },
    async (ctx, { body }) => placed(await processCheckout(ctx, body)),
  ),
  endpoint(
    'POST /api/checkout/confirm/:orderId',
    {
      summary: 'Ask how the payment of an order stands',
      description:
        'The provider is asked, the client never believed. Paid: 200, again and again, with the ' +
        'case. The bank still has it: 202. More to do for the payer: 402.',
      access: ['customer', 'order-token'],
      params: ConfirmParams,
      reply: ConfirmReply,
      alsoStatus: [202],
      limit: 'checkout',
      errors: [
        paymentActionRequired,
        paymentNotCompleted,
        paymentNotStarted,
        orderNotPayable,
        paymentRefused,
        providerUnavailable,
      ],
      idempotency: {
        resume: (ctx, orderId) => confirm(ctx, orderId),
        restoreSecrets: (ctx, reply) => restoreSecrets(ctx, reply),
      },
      example: { params: { orderId: 'B-1042' }, reply: exampleConfirmed },
    },
    (ctx, { params }) => confirm(ctx, params.orderId),
  ),
  endpoint(
    'POST /api/webhook/stripe',
    {
      summary: 'Receive an event of the payment provider',
      description: 'Signed by the provider; stored before it is acknowledged.',
      access: 'public',
      reply: WebhookReply,
      limit: 'webhook',
      errors: [invalidSignature, paymentsNotConfigured],
      idempotency: 'none',
      rawBody: true,
      example: { reply: { received: true } },
    },
    async (ctx, { http }) => {
      const signature = http.headers['stripe-signature']
      await receiveEvent(ctx, { rawBody: http.rawBody, signature: String(signature ?? '') })
      return { received: true }
    },
  ),
  endpoint(
    'POST /api/orders/:id/payments',
    {
      summary: 'Record a payment that came another way',
      description: 'Such as a bank transfer. At most what is outstanding.',
      access: ['payments:write'],
      params: OrderParams,
      body: RecordPayment,
      reply: Payment,
      status: 201,
      errors: [overpayment, wrongCurrency, orderNotPayable],
      idempotency: {
        resume: (ctx, id, { params: { id: order = '' } }) =>
          booked(ctx, order, getPayment(ctx, order, id)),
      },
      example: {
        params: { id: 'B-1042' },
        body: { amount: { amount: 14_900, currency: 'GBP' }, reference: 'Bank transfer 4711' },
        reply: { ...examplePayment, provider: 'manual', providerRef: null },
      },
    },
    (ctx, { params, body }) => booked(ctx, params.id, recordPayment(ctx, params.id, body)),
  ),
  endpoint(
    'POST /api/orders/:id/refunds',
    {
      summary: 'Give money back',
      description:
        'Any number of times, up to what was paid. Without `paymentId` the order must have ' +
        'exactly one refundable payment.',
      access: ['payments:write'],
      params: OrderParams,
      body: RequestRefund,
      reply: Refund,
      status: 201,
      errors: [
        refundTooLarge,
        paymentChoiceRequired,
        nothingToRefund,
        tooManyRefunds,
        wrongCurrency,
      ],
      idempotency: {
        resume: (ctx, id, { params: { id: order = '' } }) =>
          booked(ctx, order, getRefund(ctx, order, id)),
      },
      example: {
        params: { id: 'B-1042' },
        body: { amount: { amount: 5000, currency: 'GBP' }, reason: 'Part not delivered' },
        reply: exampleRefund,
      },
    },
    (ctx, { params, body }) => booked(ctx, params.id, requestRefund(ctx, params.id, body)),
  ),
]

/** The filters of the query, without the members that every list has. */
function filtersIn(query: DifferenceFilters): DifferenceFilters {
  const { reconciliationId, kind, object, healed } = query
  const given = { reconciliationId, kind, object, healed }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

/** The reply of a purchase, with the address of its order. */
function placed(reply: CheckoutReply): Answer<CheckoutReply> {
  return answer(reply, { headers: { Location: `/api/orders/${reply.order.id}` } })
}

/** Payments and refunds have no address of their own: the order shows them. */
async function booked<Body>(
  ctx: AppContext,
  idOrNumber: string,
  booking: Promise<Body>,
): Promise<Answer<Body>> {
  const body = await booking
  return answer(body, { headers: { Location: await locateOrder(ctx, idOrNumber) } })
}

/** Paid is 200; what the bank still has is 202, to be asked for again. */
async function confirm(ctx: AppContext, orderId: string): Promise<Answer<ConfirmReply>> {
  const { outcome, reply } = await confirmCheckout(ctx, orderId)
  return outcome === 'paid'
    ? answer(reply)
    : answer(reply, { status: 202, headers: { 'Retry-After': '5' } })
}
