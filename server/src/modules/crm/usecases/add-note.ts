import { invalidInputAt, notFound } from '../../../kernel/errors.ts'
import { newId, type Id } from '../../../kernel/id.ts'
import { inTx, type Context, type TxContext } from '../../../platform/context.ts'
import { emit } from '../../../platform/outbox.ts'
import { attachToCase, type CaseOfDocuments } from '../../documents/index.ts'
import { CaseAnswered, CaseNoteAdded, CaseReplied } from '../events.ts'
import { statusAfterAnswer } from '../rules.ts'
import type { AddNoteInput, NoteView } from '../schema.ts'
import { findCaseOwner, findOwnCase, type Owner } from '../sql/cases.ts'
import { findNoteAsWritten, insertNote, type NoteRow } from '../sql/notes.ts'
import { authorOf, ownerOf, readCaseKey } from './actors.ts'
import { moveCase, writeMove } from './move-case.ts'
import { readDocuments, readNames } from './read-cases.ts'
import { toCustomerNote, toStaffNote } from './views.ts'

/**
 * Writes a note. A customer's is public, goes to an own case only and wakes one that was resolved
 * or waiting for it. Documents must be of the case, of its order, or the writer's own and linked to
 * nothing yet. Throws 400 and 404, 409 `case_closed` for a customer's word on a closed case and 409
 * `document_internal` for a public note about what the customer may not see.
 */
export async function addNote(ctx: Context, key: string, input: AddNoteInput): Promise<NoteView> {
  const owner = ownerOf(ctx.actor)
  const id = await readCaseKey(ctx.db, key)
  const note: NoteRow = {
    id: newId('note', ctx.now),
    body: input.body,
    visibility: input.visibility,
    ...authorOf(ctx.actor),
    documentKeys: input.documentKeys ?? [],
    createdAt: ctx.now,
  }
  if (!owner) {
    await writeStaffNote(ctx, id, note)
    return await showNote(ctx, note, null)
  }
  const contactName = await requireAnswer(ctx, id, { owner, input })
  await writeAnswer(ctx, id, note)
  return await showNote(ctx, note, contactName)
}

/** The note that an earlier request with the same key wrote before it died. */
export async function getNoteAsWritten(
  ctx: Context,
  caseId: string,
  { body, visibility, documentKeys = [] }: AddNoteInput,
): Promise<NoteView> {
  const owner = ownerOf(ctx.actor)
  const id = await readCaseKey(ctx.db, caseId)
  const note = await findNoteAsWritten(ctx.db, id, {
    body,
    visibility,
    documentKeys,
    ...authorOf(ctx.actor),
  })
  if (!note) throw notFound()
  const own = owner ? await findOwnCase(ctx.db, id, owner) : undefined
  return await showNote(ctx, note, own?.contactName ?? null)
}

async function showNote(
  ctx: Context,
  note: NoteRow,
  contactName: string | null,
): Promise<NoteView> {
  const names = await readNames(ctx, [note.authorId], contactName)
  const documents = await readDocuments(ctx, [note])
  return ownerOf(ctx.actor)
    ? toCustomerNote(note, { names, documents })
    : toStaffNote(note, { names, documents })
}

async function writeStaffNote(ctx: Context, id: Id<'case'>, note: NoteRow): Promise<void> {
  await inTx(ctx, async (ctx) => {
    const raised = await insertNote(ctx.db, id, note)
    const subject = await findCaseOwner(ctx.db, id)
    if (!raised || !subject) throw notFound()
    await attachDocuments(ctx, subject, note)
    const announce = note.visibility === 'public' ? CaseReplied : CaseNoteAdded
    const data = { noteId: note.id }
    await emit(ctx, announce({ rootId: id, rootVersion: raised.version, data }))
  })
}

/** In the note's transaction, which holds the case's row: case before document. */
async function attachDocuments(
  ctx: TxContext,
  { id, customerId, orderId }: CaseOfDocuments,
  { documentKeys: keys, visibility }: NoteRow,
): Promise<void> {
  await attachToCase(ctx, { id, customerId, orderId }, { keys, isPublic: visibility === 'public' })
}

/** The name on the case, where it is theirs and what they wrote is public. */
async function requireAnswer(
  ctx: Context,
  id: Id<'case'>,
  { owner, input }: { owner: Owner; input: AddNoteInput },
): Promise<string> {
  const own = await findOwnCase(ctx.db, id, owner)
  if (!own) throw notFound()
  if (input.visibility === 'public') return own.contactName
  throw invalidInputAt({
    pointer: '/visibility',
    code: 'not_allowed',
    message: 'must be public',
  })
}

async function writeAnswer(ctx: Context, id: Id<'case'>, note: NoteRow): Promise<void> {
  await moveCase(ctx, id, {
    decide: ({ status }) => statusAfterAnswer(status),
    write: async (ctx, state, to) => {
      const raised = await insertNote(ctx.db, id, note)
      if (!raised) throw notFound()
      await attachDocuments(ctx, state, note)
      const data = { noteId: note.id }
      const answered = CaseAnswered({ rootId: id, rootVersion: raised.version, data })
      const moved = to === state.status ? [] : [await writeMove(ctx, state, to)]
      await emit(ctx, answered, ...moved)
    },
  })
}
