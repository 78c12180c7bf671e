import { Type, type Static } from 'typebox'
import { defineError } from '../../kernel/errors.ts'
import {
  Email,
  idOf,
  Instant,
  Metadata,
  Money,
  Name,
  nullable,
  oneOf,
  strictObject,
  TimelineEntry,
  Transition,
  searchedIn,
} from '../../kernel/shapes.ts'
import { examplePayment, orderPaymentStatuses, Payment, Refund } from '../payments/index.ts'

export const orderStatuses = [
  'pending',
  'confirmed',
  'in_progress',
  'on_hold',
  'completed',
  'cancelled',
] as const
export type OrderStatus = (typeof orderStatuses)[number]

/** An order's id or its number: both name it wherever `:id` stands. */
export const OrderParams = strictObject({
  id: Type.String({
    minLength: 1,
    maxLength: 40,
    description: 'the id (`ord_…`) or the number (`B-1042`)',
  }),
})

const Answers = Type.Unsafe<Record<string, unknown>>({
  type: 'object',
  additionalProperties: true,
  description: 'what the customer was asked for this service; stored as given, 16 KiB at most',
})

/** What is bought: prices come from the catalogue, never from here. */
export const OrderItem = strictObject({
  serviceId: idOf('svc'),
  quantity: Type.Integer({ minimum: 1, maximum: 1000 }),
  options: Type.Optional(
    Type.Record(Type.String({ maxLength: 80 }), Type.String({ maxLength: 80 }), {
      maxProperties: 20,
      description: 'the chosen choice of each option, by their keys',
    }),
  ),
  answers: Type.Optional(Answers),
})
export type OrderItem = Static<typeof OrderItem>

export const OrderItems = Type.Array(OrderItem, { minItems: 1, maxItems: 50 })

export const CustomerInput = strictObject({ email: Email, name: Name })
export type CustomerInput = Static<typeof CustomerInput>

const Note = Type.String({ maxLength: 5000 })

export const PlaceOrder = strictObject({
  items: OrderItems,
  customerId: Type.Optional(idOf('cus')),
  customer: Type.Optional(CustomerInput),
  note: Type.Optional(Note),
  metadata: Type.Optional(Metadata),
})
export type PlaceOrder = Static<typeof PlaceOrder>

export const PatchOrder = strictObject(
  {
    note: Type.Optional(nullable(Note)),
    metadata: Type.Optional(nullable(Metadata)),
    flagged: Type.Optional(
      Type.Literal(false, { description: 'somebody has looked at its money: the flag comes down' }),
    ),
  },
  { minProperties: 1 },
)
export type PatchOrder = Static<typeof PatchOrder>

export const ChangeStatus = strictObject({
  status: oneOf(orderStatuses),
  reason: Type.Optional(Type.String({ minLength: 1, maxLength: 500 })),
  refund: Type.Optional(
    oneOf(['full', 'none'], { description: 'what becomes of money kept when cancelling' }),
  ),
})
export type ChangeStatus = Static<typeof ChangeStatus>

export const OrderFilters = strictObject({
  status: Type.Optional(oneOf(orderStatuses)),
  paymentStatus: Type.Optional(oneOf(orderPaymentStatuses)),
  customerId: Type.Optional(idOf('cus')),
  q: Type.Optional(searchedIn('a number, an e-mail or a name')),
  createdFrom: Type.Optional(Instant),
  createdTo: Type.Optional(Instant),
  flagged: Type.Optional(
    Type.Boolean({ description: 'for staff: whether money came that does not fit the books' }),
  ),
})
export type OrderFilters = Static<typeof OrderFilters>

export const LineOption = Type.Object({
  key: Type.String(),
  name: Type.String(),
  choice: Type.Object({ key: Type.String(), name: Type.String() }),
  priceDelta: Type.Integer(),
})
export type LineOption = Static<typeof LineOption>

export const OrderLine = Type.Object({
  id: idOf('line'),
  serviceId: idOf('svc'),
  name: Type.String(),
  options: Type.Array(LineOption),
  quantity: Type.Integer(),
  unitPrice: Money,
  total: Money,
  answers: Answers,
})
export type OrderLine = Static<typeof OrderLine>

export const OrderCase = Type.Object({
  id: idOf('case'),
  number: Type.String(),
  status: Type.String(),
})
export type OrderCase = Static<typeof OrderCase>

const summaryMembers = {
  id: idOf('ord'),
  number: Type.String({ examples: ['B-1042'] }),
  status: oneOf(orderStatuses),
  paymentStatus: oneOf(orderPaymentStatuses),
  customer: Type.Object({ id: idOf('cus'), email: Type.String(), name: Type.String() }),
  total: Money,
  paid: Money,
  refunded: Money,
  flagged: Type.Optional(
    Type.Boolean({ description: 'for staff: money came that does not fit the books' }),
  ),
  case: nullable(OrderCase),
  version: Type.Integer(),
  createdAt: Instant,
  updatedAt: Instant,
}

/** An order as a list shows it: without what only one order needs. */
export const OrderSummary = Type.Object(summaryMembers)
export type OrderSummary = Static<typeof OrderSummary>

export const Order = Type.Object({
  ...summaryMembers,
  lines: Type.Array(OrderLine),
  subtotal: Money,
  discount: Money,
  tax: Money,
  payments: Type.Array(Payment),
  refunds: Type.Array(Refund),
  timeline: Type.Array(TimelineEntry),
  allowedTransitions: Type.Array(Transition),
  note: nullable(Type.String()),
  metadata: Metadata,
})
export type Order = Static<typeof Order>

export const mixedCurrency = defineError(
  400,
  'mixed_currency',
  'All items of one order must have the same currency.',
  'Place one order for each currency.',
)
export const serviceUnavailable = defineError(
  422,
  'service_unavailable',
  'A chosen service is not for sale.',
  'Ask the catalogue again and choose among the active services.',
)
export const amountTooLarge = defineError(
  422,
  'amount_too_large',
  'The total is more than an order may come to.',
  'Split the order.',
)
export const refundChoiceRequired = defineError(
  400,
  'refund_required',
  'Money was taken for this order: say whether to give it back (`refund`: full or none).',
  'Repeat it with `refund: full` or `refund: none`.',
)
export const tooManyOpenOrders = defineError(
  429,
  'too_many_open_orders',
  'There are already 20 unpaid orders: pay or cancel one first.',
  'Pay or cancel one of the open orders; unpaid ones of the checkout expire by themselves.',
)

const price = { amount: 19_900, currency: 'GBP' }
const nothing = { amount: 0, currency: 'GBP' }

export const exampleSummary = {
  id: 'ord_01jd8q9yg8e5v9c0m4t7k2x3za',
  number: 'B-1042',
  status: 'pending',
  paymentStatus: 'unpaid',
  customer: {
    id: 'cus_01jd8q9yg8e5v9c0m4t7k2x3zd',
    email: 'ada@example.com',
    name: 'Ada Lovelace',
  },
  total: price,
  paid: nothing,
  refunded: nothing,
  case: null,
  version: 1,
  createdAt: '2026-11-22T16:40:20.000Z',
  updatedAt: '2026-11-22T16:40:20.000Z',
}

/** As it was placed. */
export const examplePlaced = {
  ...exampleSummary,
  lines: [
    {
      id: 'line_01jd8q9yg8e5v9c0m4t7k2x3ze',
      serviceId: 'svc_01jd8q9yg8e5v9c0m4t7k2x3za',
      name: 'Company formation',
      options: [
        {
          key: 'speed',
          name: 'Speed',
          choice: { key: 'express', name: 'Express' },
          priceDelta: 5000,
        },
      ],
      quantity: 1,
      unitPrice: price,
      total: price,
      answers: { companyName: 'Analytical Engines Ltd' },
    },
  ],
  subtotal: price,
  discount: nothing,
  tax: nothing,
  payments: [],
  refunds: [],
  timeline: [
    {
      id: 'evt_01jd8q9yg8e5v9c0m4t7k2x3zf',
      type: 'order.placed',
      at: '2026-11-22T16:40:20.000Z',
      actor: { id: 'usr_01jd8q9yg8e5v9c0m4t7k2x3zg', name: 'Ada Lovelace', kind: 'customer' },
      data: { total: price.amount, currency: price.currency },
    },
  ],
  allowedTransitions: [],
  note: 'Please call before noon.',
  metadata: {},
}

/** As its customer sees it once it is paid. */
export const exampleOrder = {
  ...examplePlaced,
  status: 'confirmed',
  paymentStatus: 'paid',
  paid: price,
  payments: [examplePayment],
  case: { id: 'case_01jd8q9yg8e5v9c0m4t7k2x3zh', number: 'C-1042', status: 'new' },
  version: 5,
  updatedAt: '2026-11-22T16:40:21.000Z',
}
