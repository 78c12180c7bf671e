import type { Context } from '../../../platform/context.ts'
import { findDocument, type DocumentRow } from '../sql.ts'

/** What a mail about a document says, and to whose customer. */
export type DocumentNotice = Pick<
  DocumentRow,
  | 'key'
  | 'filename'
  | 'label'
  | 'status'
  | 'reason'
  | 'visibility'
  | 'orderId'
  | 'caseId'
  | 'customerId'
>

/** Undefined where it was deleted since; the text of an event is read here, never in the event. */
export async function findNotice(ctx: Context, id: string): Promise<DocumentNotice | undefined> {
  return await findDocument(ctx.db, id)
}
