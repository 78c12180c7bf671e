import { Type, type Static } from 'typebox'
import { defineError } from '../../kernel/errors.ts'
import { maxAmount } from '../../kernel/money.ts'
import {
  Currency,
  idOf,
  Instant,
  Metadata,
  Money,
  MoneyInput,
  Name,
  nullable,
  oneOf,
  strictObject,
} from '../../kernel/shapes.ts'

export const slugTaken = defineError(
  409,
  'slug_taken',
  'Another one has this slug.',
  'Choose another slug, or leave it out and one is made from the name.',
)
export const categoryCycle = defineError(
  409,
  'category_cycle',
  'A category cannot stand below itself.',
  'Choose a parent that is neither the category itself nor below it.',
)
export const categoryTooDeep = defineError(
  422,
  'category_too_deep',
  'Categories nest at most five levels deep.',
  'Choose a parent further up.',
)
export const categoryInUse = defineError(
  409,
  'category_in_use',
  'Services are in this category: name another one for them in moveTo.',
  'Repeat it with `?moveTo=` and the category that shall have the services.',
)
export const categoryHasChildren = defineError(
  409,
  'category_has_children',
  'Categories stand below this one: name another parent for them in moveTo.',
  'Repeat it with `?moveTo=` and the category that shall be their parent.',
)

export const serviceStatuses = ['draft', 'active', 'archived'] as const
export type ServiceStatus = (typeof serviceStatuses)[number]

export const maxSlugLength = 80
const maxOptions = 20
const maxChoices = 50
const maxBulkIds = 1000
/** Ids in the address instead of the body: proxies cut long addresses. */
export const maxIdsInQuery = 100

const Slug = Type.String({
  pattern: '^[a-z0-9]+(-[a-z0-9]+)*$',
  maxLength: maxSlugLength,
  examples: ['uk-limited-company'],
})
const Key = Type.String({
  pattern: '^[A-Za-z0-9][A-Za-z0-9_-]{0,49}$',
  description: 'what an order names it by',
  examples: ['package'],
})
const Summary = Type.String({ maxLength: 500 })
const Description = Type.String({ maxLength: 20_000, description: 'Markdown, kept as given' })
const TurnaroundDays = Type.Integer({ minimum: 0, maximum: 3650 })
const Position = Type.Integer({
  minimum: 0,
  maximum: 1_000_000,
  description: 'the place in a list: lower first, then older first',
})
const Status = oneOf(serviceStatuses, { description: 'only `active` is public and for sale' })

const Choice = strictObject({
  key: Key,
  name: Name,
  priceDelta: Type.Integer({
    minimum: -maxAmount,
    maximum: maxAmount,
    description: 'added to the price, in minor units; may be negative',
  }),
  turnaroundDays: Type.Optional(TurnaroundDays),
})

/** What a customer chooses when ordering: one of the choices, or none where not required. */
export const ServiceOption = strictObject({
  key: Key,
  name: Name,
  required: Type.Boolean(),
  choices: Type.Array(Choice, { minItems: 1, maxItems: maxChoices }),
})
export type ServiceOption = Static<typeof ServiceOption>

const Options = Type.Array(ServiceOption, { maxItems: maxOptions })

const CategoryReference = Type.Object({ id: idOf('cat'), slug: Type.String(), name: Type.String() })

export const Service = Type.Object(
  {
    id: idOf('svc'),
    slug: Type.String(),
    name: Type.String(),
    summary: nullable(Type.String()),
    description: nullable(Type.String({ description: 'Markdown, as it was given' })),
    category: nullable(CategoryReference),
    price: Money,
    options: Type.Array(ServiceOption),
    status: Status,
    turnaroundDays: nullable(Type.Integer()),
    position: Type.Integer(),
    metadata: Metadata,
    version: Type.Integer(),
    createdAt: Instant,
    updatedAt: Instant,
  },
  { title: 'Service' },
)
export type Service = Static<typeof Service>

export const NewService = strictObject({
  name: Name,
  slug: Type.Optional(Slug),
  summary: Type.Optional(nullable(Summary)),
  description: Type.Optional(nullable(Description)),
  categoryId: Type.Optional(nullable(idOf('cat'))),
  price: MoneyInput,
  status: Type.Optional(Status),
  turnaroundDays: Type.Optional(nullable(TurnaroundDays)),
  position: Type.Optional(Position),
  options: Type.Optional(Options),
  metadata: Type.Optional(Metadata),
})
export type NewService = Static<typeof NewService>

/** A JSON Merge Patch (RFC 7396): what is absent stays, null clears, arrays are replaced. */
export const ServicePatch = strictObject({
  name: Type.Optional(Name),
  slug: Type.Optional(Slug),
  summary: Type.Optional(nullable(Summary)),
  description: Type.Optional(nullable(Description)),
  categoryId: Type.Optional(nullable(idOf('cat'))),
  price: Type.Optional(
    strictObject({
      amount: Type.Optional(MoneyInput.properties.amount),
      currency: Type.Optional(Currency),
    }),
  ),
  status: Type.Optional(Status),
  turnaroundDays: Type.Optional(nullable(TurnaroundDays)),
  position: Type.Optional(nullable(Position)),
  options: Type.Optional(nullable(Options)),
  metadata: Type.Optional(nullable(Metadata)),
})
export type ServicePatch = Static<typeof ServicePatch>

export const ServiceQuery = Type.Object({
  q: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 100,
      description:
        'words to search for in names, summaries and descriptions; forgives typing errors',
    }),
  ),
  category: Type.Optional(
    Type.String({ maxLength: maxSlugLength, description: 'id or slug; of that category itself' }),
  ),
  status: Type.Optional(oneOf(serviceStatuses, { description: 'other than `active`: staff only' })),
  priceMin: Type.Optional(Type.Integer({ minimum: 0, maximum: maxAmount })),
  priceMax: Type.Optional(Type.Integer({ minimum: 0, maximum: maxAmount })),
  currency: Type.Optional(Currency),
})
export type ServiceQuery = Static<typeof ServiceQuery>

const BulkIds = Type.Array(idOf('svc'), { minItems: 1, maxItems: maxBulkIds })

export const BulkStatus = strictObject({ ids: BulkIds, status: Status })
export type BulkStatus = Static<typeof BulkStatus>

export const BulkStatusReport = Type.Object({
  updated: Type.Array(idOf('svc'), { description: 'those that have the status now' }),
  notFound: Type.Array(idOf('svc')),
})
export type BulkStatusReport = Static<typeof BulkStatusReport>

export const BulkDeletion = strictObject({ ids: Type.Optional(BulkIds) })
export const BulkDeletionQuery = Type.Object({
  ids: Type.Optional(
    Type.String({
      maxLength: maxIdsInQuery * 31,
      description: 'up to 100 ids with commas between them, instead of a body',
    }),
  ),
})

export const BulkDeletionReport = Type.Object({
  deleted: Type.Array(idOf('svc')),
  notFound: Type.Array(idOf('svc')),
})
export type BulkDeletionReport = Static<typeof BulkDeletionReport>

export const Category = Type.Object(
  {
    id: idOf('cat'),
    slug: Type.String(),
    name: Type.String(),
    description: nullable(Type.String()),
    position: Type.Integer(),
    parentId: nullable(idOf('cat')),
    serviceCount: Type.Integer({ description: 'active services in this category itself' }),
    version: Type.Integer(),
    createdAt: Instant,
    updatedAt: Instant,
  },
  { title: 'Category' },
)
export type Category = Static<typeof Category>

export const NewCategory = strictObject({
  name: Name,
  slug: Type.Optional(Slug),
  description: Type.Optional(nullable(Description)),
  position: Type.Optional(Position),
  parentId: Type.Optional(nullable(idOf('cat'))),
})
export type NewCategory = Static<typeof NewCategory>

export const CategoryPatch = strictObject({
  name: Type.Optional(Name),
  slug: Type.Optional(Slug),
  description: Type.Optional(nullable(Description)),
  position: Type.Optional(nullable(Position)),
  parentId: Type.Optional(nullable(idOf('cat'))),
})
export type CategoryPatch = Static<typeof CategoryPatch>

/** An id or a slug, for reading: what is neither is simply not there. */
export const IdOrSlug = strictObject({
  id: Type.String({ minLength: 1, maxLength: 100, description: 'id or slug' }),
})
export const ServiceId = strictObject({ id: idOf('svc') })
export const CategoryId = strictObject({ id: idOf('cat') })
export const CategoryDeletionQuery = Type.Object({
  moveTo: Type.Optional(idOf('cat')),
})
