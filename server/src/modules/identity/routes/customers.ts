import { answer, endpoint, type Answer, type Endpoint } from '../../../http/endpoint.ts'
import type { Id } from '../../../kernel/id.ts'
import {
  Customer,
  customerClaimed,
  CustomerDetail,
  CustomerFilters,
  CustomerParams,
  CustomerPatch,
  emailOfLogin,
  NewCustomer,
} from '../schema/index.ts'
import {
  changeCustomer,
  createCustomer,
  getCustomerDetail,
  listCustomers,
} from '../usecases/customer-records.ts'
import { customerExample } from './examples.ts'

const params = { id: customerExample.id }
const { login: _login, ...itemExample } = customerExample
const recordExample: CustomerDetail = { ...customerExample, hasLogin: false, login: null }

export const customerRoutes: readonly Endpoint[] = [
  endpoint(
    'GET /api/customers',
    {
      summary: 'List customers',
      description:
        'Guests and people whom staff wrote down as well as those with a login. Records that ' +
        'have passed to another are left out.',
      access: ['customers:read'],
      query: CustomerFilters,
      list: { sorts: ['createdAt', 'name'], defaultSort: '-createdAt' },
      reply: Customer,
      example: { query: { q: 'love' }, reply: { data: [itemExample], nextCursor: null } },
    },
    async (ctx, { page, query }) => await listCustomers(ctx, { page, filters: query }),
  ),
  endpoint(
    'POST /api/customers',
    {
      summary: 'Write a customer down',
      description:
        'A record without a login, always a new one: e-mails are not unique among records.',
      access: ['customers:write'],
      body: NewCustomer,
      reply: CustomerDetail,
      status: 201,
      idempotency: {
        resume: async (ctx, id) => written(await getCustomerDetail(ctx, id as Id<'cus'>)),
      },
      example: {
        body: { email: 'ada@example.com', name: 'Ada Lovelace', phone: '+44 20 7946 0000' },
        reply: recordExample,
      },
    },
    async (ctx, { body }) => written(await createCustomer(ctx, body)),
  ),
  endpoint(
    'GET /api/customers/:id',
    {
      summary: 'Read a customer',
      access: ['customers:read'],
      params: CustomerParams,
      reply: CustomerDetail,
      example: { params, reply: customerExample },
    },
    async (ctx, { params }) => await getCustomerDetail(ctx, params.id),
  ),
  endpoint(
    'PATCH /api/customers/:id',
    {
      summary: 'Change a customer',
      description:
        'The name is that of the login too. Orders keep the name and e-mail that they were ' +
        'placed with.',
      access: ['customers:write'],
      params: CustomerParams,
      body: CustomerPatch,
      reply: CustomerDetail,
      errors: [emailOfLogin, customerClaimed],
      idempotency: { resume: async (ctx, id) => await getCustomerDetail(ctx, id as Id<'cus'>) },
      example: { params, body: { phone: null }, reply: { ...customerExample, phone: null } },
    },
    async (ctx, { params, body, ifMatch }) =>
      await changeCustomer(ctx, { id: params.id, patch: body, ifMatch }),
  ),
]

function written(customer: CustomerDetail): Answer<CustomerDetail> {
  return answer(customer, { headers: { Location: `/api/customers/${customer.id}` } })
}
