import { Type } from 'typebox'
import { answer, endpoint, type Answer, type Endpoint } from '../../http/endpoint.ts'
import type { Id } from '../../kernel/id.ts'
import {
  BulkDeletion,
  BulkDeletionQuery,
  BulkDeletionReport,
  BulkStatus,
  BulkStatusReport,
  Category,
  categoryCycle,
  CategoryDeletionQuery,
  categoryHasChildren,
  CategoryId,
  categoryInUse,
  CategoryPatch,
  categoryTooDeep,
  IdOrSlug,
  NewCategory,
  NewService,
  Service,
  ServiceId,
  ServicePatch,
  ServiceQuery,
  slugTaken,
} from './schema.ts'
import { deleteServices, readBulkIds, reportStatuses, setStatuses } from './usecases/bulk.ts'
import {
  createCategory,
  getCategory,
  listCategories,
  updateCategory,
} from './usecases/categories.ts'
import { deleteCategory } from './usecases/delete-category.ts'
import { getService, listServices } from './usecases/read-services.ts'
import { createService, deleteService, updateService } from './usecases/services.ts'

const categoryId = 'cat_01jd8q9yg8e5v9c0m4t7k2x3za' as Id<'cat'>
const serviceId = 'svc_01jd8q9yg8e5v9c0m4t7k2x3za'
const serviceIds = [serviceId, 'svc_01jd8q9yg8e5v9c0m4t7k2x3zb']

const exampleCategory: Category = {
  id: categoryId,
  slug: 'company-formation',
  name: 'Company formation',
  description: null,
  position: 1,
  parentId: null,
  serviceCount: 3,
  version: 4,
  createdAt: '2026-11-22T16:40:21.000Z',
  updatedAt: '2026-11-22T16:40:21.000Z',
}

const newService = {
  name: 'UK limited company',
  summary: 'Registered with Companies House within two days.',
  price: { amount: 14_900, currency: 'GBP' },
  status: 'active',
  turnaroundDays: 2,
  options: [
    {
      key: 'package',
      name: 'Package',
      required: true,
      choices: [
        { key: 'standard', name: 'Standard', priceDelta: 0 },
        { key: 'plus', name: 'Plus', priceDelta: 8000, turnaroundDays: 1 },
      ],
    },
  ],
} as const satisfies NewService

const exampleService = {
  ...newService,
  id: serviceId,
  slug: 'uk-limited-company',
  description: null,
  category: { id: categoryId, slug: 'company-formation', name: 'Company formation' },
  position: 0,
  metadata: {},
  version: 1,
  createdAt: '2026-11-22T16:40:21.000Z',
  updatedAt: '2026-11-22T16:40:21.000Z',
}

/** `categories` and `bulk` are never taken for a slug: a path without parameters wins. */
export const routes: readonly Endpoint[] = [
  endpoint(
    'POST /api/services/categories',
    {
      summary: 'Create a category',
      description: 'Without a slug it gets one from its name. Categories nest five levels deep.',
      access: ['catalog:write'],
      body: NewCategory,
      reply: Category,
      status: 201,
      errors: [slugTaken, categoryTooDeep],
      idempotency: { resume: async (ctx, id) => createdCategory(await getCategory(ctx, id)) },
      example: { body: { name: 'Company formation', position: 1 }, reply: exampleCategory },
    },
    async (ctx, { body }) => createdCategory(await createCategory(ctx, body)),
  ),
  endpoint(
    'GET /api/services/categories',
    {
      summary: 'List categories',
      description: 'All levels of the tree, each with the number of its active services.',
      access: 'public',
      list: { sorts: ['position', 'name'], defaultSort: 'position' },
      reply: Category,
      cache: 'public',
      example: { query: { limit: '50' }, reply: exampleCategory },
    },
    (ctx, { page }) => listCategories(ctx, page),
  ),
  endpoint(
    'GET /api/services/categories/:id',
    {
      summary: 'Read a category',
      access: 'public',
      params: IdOrSlug,
      reply: Category,
      cache: 'public',
      example: { params: { id: 'company-formation' }, reply: exampleCategory },
    },
    (ctx, { params }) => getCategory(ctx, params.id),
  ),
  endpoint(
    'PATCH /api/services/categories/:id',
    {
      summary: 'Change a category',
      description:
        'A JSON Merge Patch. Another `parentId` moves it with all below it, null to the top.',
      access: ['catalog:write'],
      params: CategoryId,
      body: CategoryPatch,
      reply: Category,
      errors: [slugTaken, categoryCycle, categoryTooDeep],
      idempotency: { resume: getCategory },
      example: {
        params: { id: categoryId },
        body: { position: 2, description: null },
        reply: { ...exampleCategory, position: 2, version: 5 },
      },
    },
    (ctx, { params, body, ifMatch }) =>
      updateCategory(ctx, { id: params.id, patch: body, ifMatch }),
  ),
  endpoint(
    'DELETE /api/services/categories/:id',
    {
      summary: 'Delete a category',
      description:
        'An empty one, or with `moveTo` one whose services and child categories go to another.',
      access: ['catalog:write'],
      params: CategoryId,
      query: CategoryDeletionQuery,
      reply: Type.Null(),
      status: 204,
      errors: [categoryInUse, categoryHasChildren, categoryCycle, categoryTooDeep],
      example: { params: { id: categoryId } },
    },
    async (ctx, { params, query, ifMatch }) => {
      await deleteCategory(ctx, { id: params.id, moveTo: query.moveTo ?? null, ifMatch })
      return null
    },
  ),
  endpoint(
    'POST /api/services',
    {
      summary: 'Create a service',
      description:
        'A draft unless `status` says otherwise. Without a slug it gets one from its name.',
      access: ['catalog:write'],
      body: NewService,
      reply: Service,
      status: 201,
      errors: [slugTaken],
      idempotency: { resume: async (ctx, id) => createdService(await getService(ctx, id)) },
      example: { body: newService, reply: exampleService },
    },
    async (ctx, { body }) => createdService(await createService(ctx, body)),
  ),
  endpoint(
    'GET /api/services',
    {
      summary: 'List and search services',
      description:
        'The public sees active services, `catalog:read` all. `q` sorts by `relevance` unless told ' +
        'otherwise, which ends after 200. Price filters and the sort by price apply within ' +
        '`currency`, or within the currency of the business.',
      access: 'public',
      query: ServiceQuery,
      list: {
        sorts: ['position', 'name', 'price', 'createdAt', 'relevance'],
        defaultSort: 'position',
      },
      reply: Service,
      cache: 'public',
      example: { query: { q: 'limited compny', priceMax: '20000' }, reply: exampleService },
    },
    (ctx, { page, query }) => listServices(ctx, { page, query }),
  ),
  endpoint(
    'GET /api/services/:id',
    {
      summary: 'Read a service',
      description: 'By id or slug. To the public only active services exist.',
      access: 'public',
      params: IdOrSlug,
      reply: Service,
      cache: 'public',
      example: { params: { id: 'uk-limited-company' }, reply: exampleService },
    },
    (ctx, { params }) => getService(ctx, params.id),
  ),
  endpoint(
    'PATCH /api/services/:id',
    {
      summary: 'Change a service',
      description: 'A JSON Merge Patch: arrays are replaced, null clears.',
      access: ['catalog:write'],
      params: ServiceId,
      body: ServicePatch,
      reply: Service,
      errors: [slugTaken],
      idempotency: { resume: getService },
      example: {
        params: { id: serviceId },
        body: { price: { amount: 15_900 }, summary: null },
        reply: {
          ...exampleService,
          price: { amount: 15_900, currency: 'GBP' },
          summary: null,
          version: 2,
        },
      },
    },
    (ctx, { params, body, ifMatch }) => updateService(ctx, { id: params.id, patch: body, ifMatch }),
  ),
  endpoint(
    'DELETE /api/services/:id',
    {
      summary: 'Delete a service',
      description: 'Gone for everyone; past orders stay readable, and its slug is free again.',
      access: ['catalog:write'],
      params: ServiceId,
      reply: Type.Null(),
      status: 204,
      example: { params: { id: serviceId } },
    },
    async (ctx, { params, ifMatch }) => {
      await deleteService(ctx, { id: params.id, ifMatch })
      return null
    },
  ),
  endpoint(
    'PATCH /api/services/bulk/status',
    {
      summary: 'Set the status of many services',
      description: 'All or none, in one transaction; ids that are not there are reported.',
      access: ['catalog:write'],
      body: BulkStatus,
      reply: BulkStatusReport,
      idempotency: { resume: (ctx, _id, { body }) => reportStatuses(ctx, body as BulkStatus) },
      example: {
        body: { ids: serviceIds, status: 'archived' },
        reply: { updated: [serviceId], notFound: [serviceIds[1]] },
      },
    },
    (ctx, { body }) => setStatuses(ctx, body),
  ),
  endpoint(
    'DELETE /api/services/bulk',
    {
      summary: 'Delete many services',
      description:
        'All or none, in one transaction; ids that are not there are reported. Where a proxy drops ' +
        'the body of a DELETE, up to 100 ids may stand in the address.',
      access: ['catalog:write'],
      query: BulkDeletionQuery,
      body: BulkDeletion,
      reply: BulkDeletionReport,
      example: {
        body: { ids: serviceIds },
        reply: { deleted: serviceIds, notFound: [] },
      },
    },
    (ctx, { body, query }) => deleteServices(ctx, readBulkIds({ body, query })),
  ),
]

function createdCategory(category: Category): Answer<Category> {
  return answer(category, { headers: { Location: `/api/services/categories/${category.id}` } })
}

function createdService(service: Service): Answer<Service> {
  return answer(service, { headers: { Location: `/api/services/${service.id}` } })
}
