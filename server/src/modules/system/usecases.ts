import type { Context } from '../../platform/context.ts'
import * as sql from './sql.ts'

/** Says that this process can serve; throws 503 where the database does not answer. */
export async function checkReadiness(ctx: Context): Promise<{ status: 'pass' }> {
  await sql.ping(ctx.db)
  return { status: 'pass' }
}
