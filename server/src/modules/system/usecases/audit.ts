import { mapPage, type Page, type PageRequest } from '../../../kernel/page.ts'
import { toInstant } from '../../../kernel/time.ts'
import type { AppContext } from '../../../platform/context.ts'
import { fetchPage } from '../../../platform/list.ts'
import type { AuditEvent } from '../schema.ts'
import { auditTrail, type AuditFilters, type AuditRow } from '../sql.ts'

/** Everything that happened, with who did it, newest first unless asked otherwise. */
export async function listEvents(
  ctx: AppContext,
  filters: AuditFilters,
  page: PageRequest,
): Promise<Page<AuditEvent>> {
  const found = await fetchPage<AuditRow, AuditFilters>(ctx.db, auditTrail, { page, filters })
  const names = await ctx.actorNames(found.data.flatMap(({ actorId }) => actorId ?? []))
  return mapPage(found, (row) => toAuditEvent(row, names))
}

function toAuditEvent(row: AuditRow, names: ReadonlyMap<string, string>): AuditEvent {
  const { actorId, actorKind, at, ...rest } = row
  const { fields } = row.data
  return {
    ...rest,
    at: toInstant(at),
    actor: { id: actorId, name: names.get(actorId ?? '') ?? null, kind: actorKind },
    changed: Array.isArray(fields) ? fields.map(String) : [],
  }
}
