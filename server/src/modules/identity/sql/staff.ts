import type { Page, PageRequest } from '../../../kernel/page.ts'
import type { Db } from '../../../platform/database.ts'
import { contains, fetchPage, type ListDefinition } from '../../../platform/list.ts'
import { sql } from '../../../platform/sql.ts'
import { foldText } from '../rules.ts'
import type { StaffFilters } from '../schema/index.ts'
import { userColumns, type UserRow } from './users.ts'

export async function listStaffRows(
  db: Db,
  page: PageRequest,
  filters: StaffFilters,
): Promise<Page<UserRow>> {
  return await fetchPage<UserRow, StaffFilters>(db, staffList, { page, filters })
}

export const staffList: ListDefinition<StaffFilters> = {
  columns: userColumns,
  from: sql`users`,
  where: sql`audience = 'staff'`,
  id: sql`id`,
  sorts: {
    createdAt: { column: sql`created_at`, type: sql`timestamptz` },
    name: { column: sql`lower(name) collate "C"`, type: sql`text` },
  },
  filters: {
    role: (role) => sql`role = ${role}`,
    active: (active) => sql`active = ${active}`,
    q: (text) => contains(sql`(email_key || ' ' || lower(name))`, foldText(text)),
  },
}
