import { Type } from 'typebox'
import { idOf, Money, nullable } from '../../kernel/shapes.ts'
import { defineEvent, type EventType } from '../../platform/events.ts'

const ServiceFacts = Type.Object({
  status: Type.String(),
  categoryId: nullable(idOf('cat')),
  price: Money,
})
const CategoryFacts = Type.Object({ parentId: nullable(idOf('cat')) })
const ChangedFields = Type.Object({ fields: Type.Array(Type.String()) })
const CategoryEnd = Type.Object({
  movedTo: nullable(idOf('cat')),
  movedServices: Type.Integer(),
})

export const ServiceCreated = defineEvent('service.created', {
  data: ServiceFacts,
  staff: ServiceFacts,
})

/** Names the members that changed, never what they say. */
export const ServiceUpdated = defineEvent('service.updated', {
  data: ChangedFields,
  staff: ChangedFields,
})

export const ServiceDeleted = defineEvent('service.deleted', { data: Type.Object({}) })

export const CategoryCreated = defineEvent('category.created', {
  data: CategoryFacts,
  staff: CategoryFacts,
})

export const CategoryUpdated = defineEvent('category.updated', {
  data: ChangedFields,
  staff: ChangedFields,
})

export const CategoryDeleted = defineEvent('category.deleted', {
  data: CategoryEnd,
  staff: CategoryEnd,
})

export const catalogEvents: readonly EventType[] = [
  ServiceCreated,
  ServiceUpdated,
  ServiceDeleted,
  CategoryCreated,
  CategoryUpdated,
  CategoryDeleted,
]
