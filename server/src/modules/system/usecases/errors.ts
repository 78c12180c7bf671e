import { mapPage, type Page, type PageRequest } from '../../../kernel/page.ts'
import { toInstant } from '../../../kernel/time.ts'
import type { AppContext } from '../../../platform/context.ts'
import { fetchPage } from '../../../platform/list.ts'
import type { UnexpectedError } from '../schema.ts'
import { unexpectedErrors, type ErrorFilters, type ErrorRow } from '../sql.ts'

/** Unexpected errors by where in the code they come from; those of this process up to now. */
export async function listErrors(
  { db, instruments }: AppContext,
  filters: ErrorFilters,
  page: PageRequest,
): Promise<Page<UnexpectedError>> {
  await instruments.errorReports.flush()
  const found = await fetchPage<ErrorRow, ErrorFilters>(db, unexpectedErrors, { page, filters })
  return mapPage(found, (row) => ({
    ...row,
    firstSeenAt: toInstant(row.firstSeenAt),
    lastSeenAt: toInstant(row.lastSeenAt),
  }))
}
