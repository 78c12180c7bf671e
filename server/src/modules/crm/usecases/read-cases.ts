import { notFound } from '../../../kernel/errors.ts'
import { isId, type Id } from '../../../kernel/id.ts'
import { mapPage, type Page, type PageRequest } from '../../../kernel/page.ts'
import type { Context } from '../../../platform/context.ts'
import { fetchPage } from '../../../platform/list.ts'
import { listTimeline } from '../../../platform/outbox.ts'
import { listAttached } from '../../documents/index.ts'
import { listUserNames } from '../../identity/index.ts'
import { checkCustomerQuery } from '../rules.ts'
import type {
  CaseFilters,
  CaseItemView,
  CaseView,
  CustomerCase,
  CustomerCaseItem,
  StaffCase,
  StaffCaseItem,
} from '../schema.ts'
import {
  findOrderCase,
  findOwnCase,
  findStaffCase,
  type CaseRow,
  type Owner,
  type StaffCaseRow,
} from '../sql/cases.ts'
import {
  customerCases,
  staffCases,
  type CustomerListFilters,
  type StaffListFilters,
} from '../sql/lists.ts'
import { listAllNotes, listPublicNotes } from '../sql/notes.ts'
import { ownerOf, readCaseKey } from './actors.ts'
import {
  toCustomerEntry,
  toCustomerItem,
  toCustomerNote,
  toStaffEntry,
  toStaffItem,
  toStaffNote,
  type AttachedDocuments,
  type Names,
} from './views.ts'

/** The whole case by its id or number, as the actor may see it; 404 where it is not theirs. */
export async function getCase(ctx: Context, key: string): Promise<CaseView> {
  const owner = ownerOf(ctx.actor)
  const id = await readCaseKey(ctx.db, key)
  return owner ? await getOwnCase(ctx, id, owner) : await getStaffCase(ctx, id)
}

/** The whole case as staff see it: for those who have just worked on it. */
export async function getStaffCase(ctx: Context, id: string): Promise<StaffCase> {
  const row = isId('case', id) ? await findStaffCase(ctx.db, id) : undefined
  if (!row) throw notFound()
  const notes = await listAllNotes(ctx.db, row.id)
  const events = await listTimeline(ctx, id, 'staff')
  const people = [...notes.map((note) => note.authorId), ...events.map((event) => event.actorId)]
  const names = await readNames(ctx, people, row.contactName)
  const documents = await readDocuments(ctx, notes)
  return {
    ...toStaffItem(row, ctx.now),
    description: row.description,
    notes: notes.map((note) => toStaffNote(note, { names, documents })),
    timeline: events.map((event) => toStaffEntry(event, names)),
  }
}

/** The case of the order; undefined until its confirmation has opened one. */
export async function findCaseOfOrder(
  ctx: Context,
  orderId: Id<'ord'>,
): Promise<Pick<CaseRow, 'id' | 'number' | 'status'> | undefined> {
  return await findOrderCase(ctx.db, orderId)
}

/** A customer's own cases, or for staff all of them. */
export async function listCases(
  ctx: Context,
  { filters, page }: { filters: CaseFilters; page: PageRequest },
): Promise<Page<CaseItemView>> {
  const owner = ownerOf(ctx.actor)
  if (owner === null) return await listStaffCases(ctx, filters, page)
  checkCustomerQuery(filters, page.sort.field)
  return await listOwnCases(ctx, { ...forQuery(filters, ctx.now), owner }, page)
}

async function getOwnCase(ctx: Context, id: Id<'case'>, owner: Owner): Promise<CustomerCase> {
  const row = await findOwnCase(ctx.db, id, owner)
  if (!row) throw notFound()
  const notes = await listPublicNotes(ctx.db, id)
  const events = await listTimeline(ctx, id, 'customer')
  // Colleagues are named by what they wrote and by nothing that they did.
  const people = [
    ...notes.map((note) => note.authorId),
    ...events.flatMap((event) => (event.actorKind === 'staff' ? [] : [event.actorId])),
  ]
  const names = await readNames(ctx, people, row.contactName)
  const documents = await readDocuments(ctx, notes)
  return {
    ...toCustomerItem(row, ctx.now),
    description: row.description,
    notes: notes.map((note) => toCustomerNote(note, { names, documents })),
    timeline: events.map((event) => toCustomerEntry(event, names)),
  }
}

async function listStaffCases(
  ctx: Context,
  filters: CaseFilters,
  page: PageRequest,
): Promise<Page<StaffCaseItem>> {
  const rows = await fetchPage<StaffCaseRow, StaffListFilters>(ctx.db, staffCases, {
    page,
    filters: forQuery(filters, ctx.now),
  })
  return mapPage(rows, (row) => toStaffItem(row, ctx.now))
}

async function listOwnCases(
  ctx: Context,
  filters: CustomerListFilters,
  page: PageRequest,
): Promise<Page<CustomerCaseItem>> {
  const rows = await fetchPage<CaseRow, CustomerListFilters>(ctx.db, customerCases, {
    page,
    filters,
  })
  return mapPage(rows, (row) => toCustomerItem(row, ctx.now))
}

/** Being overdue is a question about an instant. */
function forQuery({ overdue, ...filters }: CaseFilters, now: Date): StaffListFilters {
  return overdue === undefined ? filters : { ...filters, overdue: { is: overdue, now } }
}

/** What the notes speak of, in one statement. */
export async function readDocuments(
  ctx: Context,
  notes: readonly { readonly documentKeys: readonly string[] }[],
): Promise<AttachedDocuments> {
  return await listAttached(
    ctx,
    notes.flatMap(({ documentKeys }) => documentKeys),
  )
}

/** The names of logins in one statement; what is no login's id has no name there. */
export async function readNames(
  { db }: Context,
  people: readonly (string | null)[],
  ofContact: string | null,
): Promise<Names> {
  const ids = [...new Set(people.filter((id) => id !== null && isId('usr', id)))]
  return { ofUsers: ids.length === 0 ? new Map() : await listUserNames(db, ids), ofContact }
}
