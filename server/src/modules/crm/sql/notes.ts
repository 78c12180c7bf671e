import type { Id } from '../../../kernel/id.ts'
import type { Db, Tx } from '../../../platform/database.ts'
import { sql } from '../../../platform/sql.ts'
import type { AuthorKind, Visibility } from '../schema.ts'
import type { Raised } from './cases.ts'

export interface NoteRow {
  readonly id: Id<'note'>
  readonly body: string
  readonly visibility: Visibility
  readonly authorId: string | null
  readonly authorKind: AuthorKind
  readonly documentKeys: readonly string[]
  readonly createdAt: Date
}

/** A case shows its newest notes; nobody reads more of them at once. */
const maxNotes = 200

/** Oldest first, the newest 200. */
export async function listAllNotes(db: Db, caseId: Id<'case'>): Promise<NoteRow[]> {
  const newestFirst = await db.many<NoteRow>(sql`
    select id, body, visibility, author_id, author_kind, document_keys, created_at
    from case_notes where case_id = ${caseId} order by id desc limit ${maxNotes}`)
  return newestFirst.toReversed()
}

export type PublicNoteRow = Omit<NoteRow, 'visibility'>

/** The same for a customer's eyes: internal notes are never read. */
export async function listPublicNotes(db: Db, caseId: Id<'case'>): Promise<PublicNoteRow[]> {
  const newestFirst = await db.many<PublicNoteRow>(sql`
    select id, body, author_id, author_kind, document_keys, created_at
    from case_notes where case_id = ${caseId} and visibility = 'public'
    order by id desc limit ${maxNotes}`)
  return newestFirst.toReversed()
}

/** The newest note that says this by this author: what a repeated request has already written. */
export async function findNoteAsWritten(
  db: Db,
  caseId: Id<'case'>,
  { body, visibility, authorId, authorKind, documentKeys }: Omit<NoteRow, 'id' | 'createdAt'>,
): Promise<NoteRow | undefined> {
  return await db.maybeOne(sql`
    select id, body, visibility, author_id, author_kind, document_keys, created_at
    from case_notes
    where case_id = ${caseId} and body = ${body} and visibility = ${visibility}
      and author_id is not distinct from ${authorId} and author_kind = ${authorKind}
      and document_keys = ${documentKeys}::text[]
    order by id desc limit 1`)
}

/** The note and its case's new version, in one statement; undefined where there is no case. */
export async function insertNote(
  db: Tx,
  caseId: Id<'case'>,
  note: NoteRow,
): Promise<Raised | undefined> {
  return await db.maybeOne(sql`
    with raised as (
      update cases set version = version + 1, updated_at = greatest(updated_at, ${note.createdAt})
      where id = ${caseId} returning id, version
    ),
    written as (
      insert into case_notes (case_id, id, body, visibility, author_id, author_kind,
        document_keys, created_at)
      select id, ${note.id}, ${note.body}, ${note.visibility}, ${note.authorId},
        ${note.authorKind}, ${note.documentKeys}::text[], ${note.createdAt}::timestamptz
      from raised
    )
    select version from raised`)
}
