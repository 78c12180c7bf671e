import { answer, endpoint, type Answer, type Endpoint } from '../../http/endpoint.ts'
import { forbidden, invalidTransition, notFound } from '../../kernel/errors.ts'
import {
  AddNoteInput,
  caseClosed,
  CaseFilters,
  CaseItemView,
  CaseParams,
  caseSorts,
  CaseView,
  ChangeStatusInput,
  customerFixedByOrder,
  documentInternal,
  exampleCase,
  NoteView,
  OpenCaseInput,
  OpenedCase,
  ResolveCaseInput,
  StaffCase,
  UpdateCaseInput,
  useResolve,
} from './schema.ts'
import { addNote, getNoteAsWritten } from './usecases/add-note.ts'
import { changeCaseStatus, resolveCase } from './usecases/move-case.ts'
import { getOpenedCase, openCase } from './usecases/open-case.ts'
import { getCase, getStaffCase, listCases } from './usecases/read-cases.ts'
import { updateCase } from './usecases/update-case.ts'

const {
  notes: _notes,
  timeline: _timeline,
  description: _description,
  ...exampleItem
} = exampleCase
const resolution = {
  outcome: 'completed',
  summary: 'Your company is registered.',
  resolvedAt: '2026-12-01T10:12:00.000Z',
}

export const routes: readonly Endpoint[] = [
  endpoint(
    'POST /api/crm',
    {
      summary: 'Open a case',
      description:
        'The public sends `subject`, `description` and `contact` and learns the number alone. A ' +
        'customer and the holder of an order’s token may add an `orderId` of their own and need ' +
        'no `contact`. Staff may set everything, and need a `contact` only where neither ' +
        '`customerId` nor `orderId` says who asks. A member that is not yours to set is 400.',
      access: 'public',
      body: OpenCaseInput,
      reply: OpenedCase,
      status: 201,
      errors: [forbidden, notFound],
      idempotency: {
        resume: async (ctx, id) => created(await getOpenedCase(ctx, id)),
      },
      example: {
        body: {
          subject: 'A question about company formation',
          description: 'Can you register a company for two founders, one of them abroad?',
          contact: { name: 'Ada Lovelace', email: 'ada@example.com' },
        },
        reply: { number: 'C-1042' },
      },
    },
    async (ctx, { body }) => created(await openCase(ctx, body)),
  ),
  endpoint(
    'GET /api/crm',
    {
      summary: 'List cases',
      description:
        'A customer sees their own, staff see all. Customers neither filter by `priority` and ' +
        '`assigneeId` nor sort by `priority`.',
      access: ['customer', 'crm:read'],
      query: CaseFilters,
      list: { sorts: caseSorts, defaultSort: '-createdAt' },
      reply: CaseItemView,
      example: { query: { status: 'waiting_customer', sort: '-priority' }, reply: exampleItem },
    },
    (ctx, { query, page }) => listCases(ctx, { filters: query, page }),
  ),
  endpoint(
    'GET /api/crm/:id',
    {
      summary: 'Read a case',
      description:
        'By its id or its number, with its newest 200 notes and its timeline. Its customer and ' +
        'the holder of its order’s token see the public notes only, and nothing that is the ' +
        'staff’s own: priority, assignee, tags.',
      access: ['customer', 'order-token', 'crm:read'],
      params: CaseParams,
      reply: CaseView,
      example: { params: { id: 'C-1042' }, reply: exampleCase },
    },
    (ctx, { params }) => getCase(ctx, params.id),
  ),
  endpoint(
    'PATCH /api/crm/:id',
    {
      summary: 'Assign and mark a case',
      description:
        'JSON Merge Patch: absent members stay, null clears. Linking a lead to a customer makes ' +
        'it a `case`.',
      access: ['crm:write'],
      params: CaseParams,
      body: UpdateCaseInput,
      reply: StaffCase,
      errors: [customerFixedByOrder],
      idempotency: { resume: (ctx, id) => getStaffCase(ctx, id) },
      example: {
        params: { id: 'C-1042' },
        body: { priority: 'high', tags: ['vat'], dueAt: '2026-12-02T23:59:59.999Z' },
        reply: exampleCase,
      },
    },
    (ctx, { params, body, ifMatch }) => updateCase(ctx, params.id, body, ifMatch),
  ),
  endpoint(
    'PATCH /api/crm/:id/status',
    {
      summary: 'Change the status of a case',
      description:
        'To a status in `allowedTransitions` that nothing blocks. A `comment` becomes an ' +
        'internal note. Cases are resolved at an address of their own.',
      access: ['crm:write'],
      params: CaseParams,
      body: ChangeStatusInput,
      reply: StaffCase,
      errors: [invalidTransition, useResolve],
      idempotency: { resume: (ctx, id) => getStaffCase(ctx, id) },
      example: {
        params: { id: 'C-1042' },
        body: { status: 'waiting_customer', comment: 'She was asked for a proof of address.' },
        reply: exampleCase,
      },
    },
    (ctx, { params, body, ifMatch }) => changeCaseStatus(ctx, params.id, body, ifMatch),
  ),
  endpoint(
    'POST /api/crm/:id/notes',
    {
      summary: 'Write a note on a case',
      description:
        'Staff write internal and public notes. The customer and the holder of the order’s token ' +
        'write public ones: that reopens a resolved case and opens one that waits for them. ' +
        'What a public note speaks of must be shared with the customer.',
      access: ['customer', 'order-token', 'crm:write'],
      params: CaseParams,
      body: AddNoteInput,
      reply: NoteView,
      status: 201,
      errors: [caseClosed, documentInternal],
      idempotency: {
        resume: (ctx, id, { body }) => getNoteAsWritten(ctx, id, body as AddNoteInput),
      },
      example: {
        params: { id: 'C-1042' },
        body: { body: 'Please send us a proof of address.', visibility: 'public' },
        reply: exampleCase.notes[0],
      },
    },
    (ctx, { params, body }) => addNote(ctx, params.id, body),
  ),
  endpoint(
    'POST /api/crm/:id/resolve',
    {
      summary: 'Resolve a case',
      description:
        'With an outcome and a summary. After fourteen days the case closes by itself, unless it ' +
        'is reopened.',
      access: ['crm:write'],
      params: CaseParams,
      body: ResolveCaseInput,
      reply: StaffCase,
      errors: [invalidTransition],
      idempotency: { resume: (ctx, id) => getStaffCase(ctx, id) },
      example: {
        params: { id: 'C-1042' },
        body: { outcome: resolution.outcome, summary: resolution.summary },
        reply: { ...exampleCase, status: 'resolved', resolution },
      },
    },
    (ctx, { params, body }) => resolveCase(ctx, params.id, body),
  ),
]

/** Who may read the case is told where it is; the public's receipt leads nowhere. */
function created(opened: OpenedCase): Answer<OpenedCase> {
  return answer(opened, 'id' in opened ? { headers: { Location: `/api/crm/${opened.id}` } } : {})
}
