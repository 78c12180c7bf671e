import type { Id } from '../../kernel/id.ts'
import { after } from '../../platform/events.ts'
import { CustomerClaimed } from '../identity/index.ts'
import { DocumentUploaded } from './events.ts'
import { claimDocuments } from './usecases/claim-documents.ts'
import { scanUploaded } from './usecases/scan-documents.ts'

export const listeners = [
  after(CustomerClaimed, 'claim-documents', async (ctx, event) => {
    await claimDocuments(ctx, { fromId: event.rootId as Id<'cus'>, toId: event.data.ownerId })
  }),
  after(DocumentUploaded, 'scan-uploaded-document', async (ctx, event) => {
    if (event.data.status === 'quarantined') await scanUploaded(ctx, event.rootId)
  }),
]
