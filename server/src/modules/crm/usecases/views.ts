import type { TimelineEntry } from '../../../kernel/shapes.ts'
import { toInstant, toInstantOrNull } from '../../../kernel/time.ts'
import type { TimelineEvent } from '../../../platform/outbox.ts'
import { isOverdue, transitionsFrom } from '../rules.ts'
import type { AttachedDocument } from '../../documents/index.ts'
import type { CustomerCaseItem, CustomerNote, StaffCaseItem, StaffNote } from '../schema.ts'
import type { CaseRow, StaffCaseRow } from '../sql/cases.ts'
import type { NoteRow, PublicNoteRow } from '../sql/notes.ts'

/** What people are called, beside the rows that hold only their ids. */
export interface Names {
  /** Of logins, by their id. */
  readonly ofUsers: ReadonlyMap<string, string>
  /** A guest has no login: the name on the case is theirs. */
  readonly ofContact: string | null
}

/** What the notes speak of, by key: only what their reader may see stands in it. */
export type AttachedDocuments = ReadonlyMap<string, AttachedDocument>

/** What a note is shown with. */
export interface NoteSurroundings {
  readonly names: Names
  readonly documents: AttachedDocuments
}

export function toStaffItem(row: StaffCaseRow, now: Date): StaffCaseItem {
  const { priority, assigneeId, assigneeName, tags } = row
  return {
    ...toSharedMembers(row, now),
    allowedTransitions: transitionsFrom(row.status),
    priority,
    assignee: assigneeId === null ? null : { id: assigneeId, name: assigneeName },
    tags: [...tags],
  }
}

/** A customer moves a case by answering and in no other way. */
export function toCustomerItem(row: CaseRow, now: Date): CustomerCaseItem {
  return { ...toSharedMembers(row, now), allowedTransitions: [] }
}

export function toStaffNote(row: NoteRow, { names, documents }: NoteSurroundings): StaffNote {
  return {
    ...toNoteMembers(row, documents),
    visibility: row.visibility,
    author: { id: row.authorId, name: nameOfAuthor(row, names), kind: row.authorKind },
  }
}

/** Of a colleague the customer learns the name and no id. */
export function toCustomerNote(
  row: PublicNoteRow,
  { names, documents }: NoteSurroundings,
): CustomerNote {
  const id = row.authorKind === 'staff' ? null : row.authorId
  return {
    ...toNoteMembers(row, documents),
    visibility: 'public',
    author: { id, name: nameOfAuthor(row, names), kind: row.authorKind },
  }
}

export function toStaffEntry(event: TimelineEvent, names: Names): TimelineEntry {
  return { ...toEntryMembers(event), actor: toTimelineActor(event, names) }
}

/** What staff did happened; who of them did it is not the customer's to know. */
export function toCustomerEntry(event: TimelineEvent, names: Names): TimelineEntry {
  const actor = event.actorKind === 'staff' ? null : toTimelineActor(event, names)
  return { ...toEntryMembers(event), actor }
}

type SharedMembers = Omit<CustomerCaseItem, 'allowedTransitions'>

function toSharedMembers(row: CaseRow, now: Date): SharedMembers {
  const { id, number, kind, origin, subject, status, customerId, orderId, version } = row
  return {
    id,
    number,
    kind,
    origin,
    subject,
    status,
    contact: { name: row.contactName, email: row.contactEmail, phone: row.contactPhone },
    customerId,
    orderId,
    dueAt: toInstantOrNull(row.dueAt),
    overdue: isOverdue(row, now),
    resolution: toResolution(row),
    version,
    createdAt: toInstant(row.createdAt),
    updatedAt: toInstant(row.updatedAt),
  }
}

function toResolution({ outcome, summary, resolvedAt }: CaseRow): SharedMembers['resolution'] {
  if (outcome === null || summary === null || resolvedAt === null) return null
  return { outcome, summary, resolvedAt: toInstant(resolvedAt) }
}

function toNoteMembers(
  { id, body, documentKeys, createdAt }: PublicNoteRow,
  documents: AttachedDocuments,
) {
  return {
    id,
    body,
    documents: documentKeys.flatMap((key) => documents.get(key) ?? []),
    createdAt: toInstant(createdAt),
  }
}

function nameOfAuthor({ authorId, authorKind }: PublicNoteRow, names: Names): string | null {
  return nameOf(authorKind, authorId, names)
}

function toEntryMembers({ id, type, at, data }: TimelineEvent) {
  return { id: id as TimelineEntry['id'], type, at: toInstant(at), data }
}

function toTimelineActor({ actorId, actorKind }: TimelineEvent, names: Names) {
  return { id: actorId, name: nameOf(actorKind, actorId, names), kind: actorKind }
}

function nameOf(kind: string, id: string | null, { ofUsers, ofContact }: Names): string | null {
  if (kind === 'guest') return ofContact
  return id === null ? null : (ofUsers.get(id) ?? null)
}
