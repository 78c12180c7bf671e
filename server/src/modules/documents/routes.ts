import { Type } from 'typebox'
import { FileBytes } from '../../http/download.ts'
import { answer, endpoint, type Answer, type Endpoint } from '../../http/endpoint.ts'
import { present } from '../../kernel/assert.ts'
import { invalidTransition, notFound } from '../../kernel/errors.ts'
import {
  Document,
  documentInfected,
  documentQuarantined,
  documentReviewed,
  DocumentFilters,
  DocumentLink,
  DocumentParams,
  exampleDocument,
  LinkQuery,
  MakeLinkInput,
  quotaExceeded,
  unsupportedFile,
  UpdateDocumentInput,
  UploadFields,
  visibilityFixed,
} from './schema.ts'
import { deleteDocument } from './usecases/delete-document.ts'
import { listDocuments, openDocument } from './usecases/read-documents.ts'
import { getReviewed, reviewDocument } from './usecases/review-document.ts'
import { getLink, restoreLink, shareDocument } from './usecases/share-document.ts'
import { admitUpload, getUploaded, uploadDocument } from './usecases/upload-document.ts'

const { key, orderId } = exampleDocument
const params = { key }

export const routes: readonly Endpoint[] = [
  endpoint(
    'POST /api/documents/upload',
    {
      summary: 'Upload a document',
      description:
        'A form with one `file` and, before or after it, what it belongs to: an order, a case, or ' +
        'nothing. The last is its uploader’s alone and deleted after a week, unless a note links ' +
        'it to a case. PDF, PNG, JPEG, WebP, HEIC, UTF-8 text and CSV, DOCX, XLSX and PPTX are ' +
        'taken; content, extension and declared type must agree. Where a scanner is configured ' +
        'the document is `quarantined` until it has been found clean.',
      access: ['customer', 'order-token', 'documents:write'],
      body: UploadFields,
      upload: { admit: admitUpload },
      reply: Document,
      status: 201,
      errors: [notFound, quotaExceeded, unsupportedFile],
      limit: 'upload',
      idempotency: { resume: async (ctx, id) => created(await getUploaded(ctx, id)) },
      example: { body: { orderId, label: 'Passport' }, reply: exampleDocument },
    },
    async (ctx, { body, http }) =>
      created(await uploadDocument(ctx, body, present(http.upload, 'the file of a form'))),
  ),
  endpoint(
    'GET /api/documents',
    {
      summary: 'List documents',
      description:
        'Customers and the holder of an order’s token see what is theirs and shared with them; ' +
        'staff see all that is linked to an order or a case, and what they have uploaded.',
      access: ['customer', 'order-token', 'documents:read'],
      query: DocumentFilters,
      list: { sorts: ['createdAt'], defaultSort: '-createdAt' },
      reply: Document,
      example: { query: { status: 'uploaded' }, reply: exampleDocument },
    },
    (ctx, { query, page }) => listDocuments(ctx, { filters: query, page }),
  ),
  endpoint(
    'GET /api/documents/:key',
    {
      summary: 'Download a document',
      description:
        'Its bytes, to be saved and not shown: they come as an attachment, whatever they are. ' +
        '`HEAD` and one `Range` are answered. A signed link needs no token.',
      access: ['customer', 'order-token', 'documents:read', 'signed-link'],
      params: DocumentParams,
      query: LinkQuery,
      reply: FileBytes,
      errors: [documentQuarantined, documentInfected],
      example: { params, reply: 'the bytes of the file' },
    },
    (ctx, { params, query }) => openDocument(ctx, params.key, query),
  ),
  endpoint(
    'PATCH /api/documents/:key',
    {
      summary: 'Review a document',
      description:
        'JSON Merge Patch: a `status` of `accepted`, or of `rejected` with a `reason` that the ' +
        'customer reads, a label, who may see it. A review may be changed later.',
      access: ['documents:write'],
      params: DocumentParams,
      body: UpdateDocumentInput,
      reply: Document,
      errors: [invalidTransition, visibilityFixed],
      idempotency: { resume: (ctx, id) => getReviewed(ctx, id) },
      example: {
        params,
        body: { status: 'rejected', reason: 'The second page is missing.' },
        reply: {
          ...exampleDocument,
          status: 'rejected',
          reason: 'The second page is missing.',
          allowedTransitions: [{ to: 'accepted', blockedBy: null }],
          version: 2,
        },
      },
    },
    (ctx, { params, body, ifMatch }) => reviewDocument(ctx, params.key, { input: body, ifMatch }),
  ),
  endpoint(
    'POST /api/documents/:key/link',
    {
      summary: 'Make a link to a document',
      description:
        'An address that opens this one document without a token until it expires, in a week at ' +
        'most. It dies with the document, and when the document becomes internal.',
      access: ['customer', 'documents:read'],
      params: DocumentParams,
      body: MakeLinkInput,
      reply: DocumentLink,
      errors: [documentQuarantined, documentInfected],
      idempotency: {
        resume: (ctx, id, { body }) => getLink(ctx, id, body as MakeLinkInput),
        restoreSecrets: restoreLink,
      },
      example: {
        params,
        body: { expiresInSeconds: 3600 },
        reply: {
          key,
          url: `https://bureau.example/api/documents/${key}?expires=1795370531&signature=…`,
          expiresAt: '2026-11-22T18:02:11.000Z',
        },
      },
    },
    (ctx, { params, body }) => shareDocument(ctx, params.key, body),
  ),
  endpoint(
    'DELETE /api/documents/:key',
    {
      summary: 'Delete a document',
      description:
        'With its bytes, for good. Customers with a login may take back what they sent until it ' +
        'was reviewed; an order’s token neither deletes nor shares.',
      access: ['customer', 'documents:write'],
      params: DocumentParams,
      reply: Type.Null(),
      status: 204,
      errors: [documentReviewed],
      example: { params },
    },
    async (ctx, { params, ifMatch }) => {
      await deleteDocument(ctx, params.key, ifMatch)
      return null
    },
  ),
]

function created(document: Document): Answer<Document> {
  return answer(document, { headers: { Location: `/api/documents/${document.key}` } })
}
