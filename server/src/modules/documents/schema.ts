import { Type, type Static } from 'typebox'
import { defineError } from '../../kernel/errors.ts'
import { keyPattern } from '../../kernel/id.ts'
import {
  idOf,
  Instant,
  Name,
  nullable,
  oneOf,
  strictObject,
  Transition,
} from '../../kernel/shapes.ts'
import { secret } from '../../http/compile.ts'

export const documentStatuses = ['quarantined', 'uploaded', 'accepted', 'rejected'] as const
export type DocumentStatus = (typeof documentStatuses)[number]

export const documentVisibilities = ['customer', 'internal'] as const
export type DocumentVisibility = (typeof documentVisibilities)[number]

export const uploaderKinds = ['staff', 'customer', 'guest', 'system'] as const
export type UploaderKind = (typeof uploaderKinds)[number]

export const DocumentKey = Type.String({
  pattern: keyPattern,
  description: '160 random bits',
  examples: ['3kq8zv0t6w1c9r5y7m2n4p8xahbjdegf'],
})

export const DocumentParams = strictObject({ key: DocumentKey })

/** What a form says beside its file. */
export const UploadFields = strictObject({
  orderId: Type.Optional(idOf('ord')),
  caseId: Type.Optional(idOf('case')),
  label: Type.Optional(Name),
  visibility: Type.Optional(
    oneOf(documentVisibilities, {
      description: 'staff only; `internal` when absent. What customers send is always `customer`',
    }),
  ),
})
export type UploadFields = Static<typeof UploadFields>

const Reason = Type.String({ minLength: 1, maxLength: 2000, pattern: '\\S' })

export const UpdateDocumentInput = strictObject(
  {
    status: Type.Optional(oneOf(['accepted', 'rejected'])),
    reason: Type.Optional(nullable(Reason)),
    label: Type.Optional(nullable(Name)),
    visibility: Type.Optional(oneOf(documentVisibilities)),
  },
  { minProperties: 1 },
)
export type UpdateDocumentInput = Static<typeof UpdateDocumentInput>

const maxLinkSeconds = 7 * 24 * 3600

export const MakeLinkInput = strictObject({
  expiresInSeconds: Type.Integer({ minimum: 1, maximum: maxLinkSeconds }),
})
export type MakeLinkInput = Static<typeof MakeLinkInput>

/** What a signed link has in its address. */
export const LinkQuery = strictObject({
  expires: Type.Optional(
    Type.Integer({ minimum: 0, maximum: 99_999_999_999, description: 'of a signed link' }),
  ),
  signature: Type.Optional(Type.String({ maxLength: 100, description: 'of a signed link' })),
})
export type LinkQuery = Static<typeof LinkQuery>

export const DocumentFilters = strictObject({
  orderId: Type.Optional(idOf('ord')),
  caseId: Type.Optional(idOf('case')),
  customerId: Type.Optional(idOf('cus')),
  status: Type.Optional(oneOf(documentStatuses)),
})
export type DocumentFilters = Static<typeof DocumentFilters>

const Uploader = Type.Object({
  id: nullable(Type.String()),
  name: nullable(Type.String()),
  kind: oneOf(uploaderKinds),
})

export const Document = Type.Object(
  {
    key: DocumentKey,
    filename: Type.String(),
    contentType: Type.String(),
    size: Type.Integer({ description: 'in bytes' }),
    sha256: Type.String({ description: 'of the bytes, in hex' }),
    status: oneOf(documentStatuses),
    reason: nullable(
      Type.String({ description: 'why it was rejected; `malware` where a scanner did it' }),
    ),
    label: nullable(Type.String()),
    visibility: oneOf(documentVisibilities),
    orderId: nullable(idOf('ord')),
    caseId: nullable(idOf('case')),
    uploadedBy: Uploader,
    allowedTransitions: Type.Array(Transition),
    version: Type.Integer(),
    createdAt: Instant,
    updatedAt: Instant,
  },
  { title: 'Document' },
)
export type Document = Static<typeof Document>

export const DocumentLink = Type.Object(
  { key: DocumentKey, url: secret(Type.String()), expiresAt: Instant },
  { title: 'DocumentLink' },
)
export type DocumentLink = Static<typeof DocumentLink>

/** What a note shows of a document. */
export const AttachedDocument = Type.Object(
  {
    key: DocumentKey,
    filename: Type.String(),
    contentType: Type.String(),
    size: Type.Integer({ description: 'in bytes' }),
    status: oneOf(documentStatuses),
  },
  { title: 'AttachedDocument' },
)
export type AttachedDocument = Static<typeof AttachedDocument>

/** The document that the documentation shows, as staff see it. */
export const exampleDocument = {
  key: '3kq8zv0t6w1c9r5y7m2n4p8xahbjdegf',
  filename: 'passport.pdf',
  contentType: 'application/pdf',
  size: 48_213,
  sha256: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
  status: 'uploaded',
  reason: null,
  label: 'Passport',
  visibility: 'customer',
  orderId: 'ord_01jd8q9yg8e5v9c0m4t7k2x3za',
  caseId: null,
  uploadedBy: {
    id: 'usr_01jd8q9yg8e5v9c0m4t7k2x3za',
    name: 'Ada Lovelace',
    kind: 'customer',
  },
  allowedTransitions: [
    { to: 'accepted', blockedBy: null },
    { to: 'rejected', blockedBy: null },
  ],
  version: 1,
  createdAt: '2026-11-22T17:02:11.000Z',
  updatedAt: '2026-11-22T17:02:11.000Z',
} as const

export const unsupportedFile = defineError(
  415,
  'unsupported_file',
  'The file is of no kind that is taken, or its content, name and declared type disagree.',
  'Send a PDF, PNG, JPEG, WebP, HEIC, UTF-8 text or CSV, DOCX, XLSX or PPTX without macros, under a name and a type that say so.',
)
export const quotaExceeded = defineError(
  413,
  'quota_exceeded',
  'The customer has no room left for this file.',
  'Delete files that are no longer needed, or raise `CUSTOMER_QUOTA_BYTES`.',
)
export const documentQuarantined = defineError(
  409,
  'document_quarantined',
  'The document has not been scanned yet.',
  'Ask again when its status is `uploaded`; nobody may read it before.',
)
export const documentInfected = defineError(
  409,
  'document_infected',
  'The document held malware, and its bytes were deleted.',
  'Upload a clean file; this one cannot come back.',
)
export const documentReviewed = defineError(
  409,
  'document_reviewed',
  'The document has been reviewed and belongs to the record.',
  'Ask the staff to delete it.',
)
export const documentInternal = defineError(
  409,
  'document_internal',
  'The document is internal and cannot stand on what the customer reads.',
  'Set its `visibility` to `customer` first, or write an internal note.',
)
export const visibilityFixed = defineError(
  409,
  'visibility_fixed',
  'What a customer sent stays visible to them.',
  'Leave `visibility` as it is, or reject or delete the document.',
)
