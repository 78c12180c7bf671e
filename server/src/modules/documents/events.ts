import { Type } from 'typebox'
import { idOf, nullable, oneOf } from '../../kernel/shapes.ts'
import { defineEvent } from '../../platform/events.ts'
import { documentStatuses, documentVisibilities } from './schema.ts'

/** Facts about a document, for the audit trail; names, labels and reasons stay in the row. */

/** Whose it is, so that nobody who hears of it has to ask. */
const place = {
  orderId: nullable(idOf('ord')),
  caseId: nullable(idOf('case')),
  customerId: nullable(idOf('cus')),
}

export const DocumentUploaded = defineEvent('document.uploaded', {
  data: Type.Object({
    ...place,
    status: oneOf(documentStatuses),
    visibility: oneOf(documentVisibilities),
    contentType: Type.String(),
    size: Type.Integer(),
  }),
})

/** The scanner found nothing: it can be read from now on. */
export const DocumentCleared = defineEvent('document.cleared', { data: Type.Object(place) })

export const DocumentAccepted = defineEvent('document.accepted', { data: Type.Object(place) })

/** The customer is to hear of it by mail. */
export const DocumentRejected = defineEvent('document.rejected', {
  data: Type.Object({
    ...place,
    visibility: oneOf(documentVisibilities),
    cause: oneOf(['review', 'malware']),
  }),
})

/** Names of the other fields that staff changed. */
export const DocumentUpdated = defineEvent('document.updated', {
  data: Type.Object({ fields: Type.Array(Type.String()) }),
})

/** What was linked to nothing now belongs to a case. */
export const DocumentLinked = defineEvent('document.linked', {
  data: Type.Object({ caseId: idOf('case') }),
})

/** A signed link was made, which opens it to whoever has that until then. */
export const DocumentShared = defineEvent('document.shared', {
  data: Type.Object({ expiresAt: Type.String() }),
})

/** Bytes of it went out: once for each reader and minute, however many parts were asked for. */
export const DocumentRead = defineEvent('document.read', {
  data: Type.Object({ via: oneOf(['login', 'order_token', 'signed_link', 'system']) }),
})

export const DocumentDeleted = defineEvent('document.deleted', {
  data: Type.Object({ ...place, cause: oneOf(['request', 'unlinked']) }),
})

export const events = [
  DocumentUploaded,
  DocumentCleared,
  DocumentAccepted,
  DocumentRejected,
  DocumentUpdated,
  DocumentLinked,
  DocumentShared,
  DocumentRead,
  DocumentDeleted,
]
