import { Refusal } from '../kernel/refusal.ts'
import { EmbeddedDatabaseError } from '../platform/embedded-database/error.ts'

/** A sentence for what the operator can mend, the whole error for what is our fault. */
export function reasonOf(error: unknown): string {
  if (error instanceof Refusal || error instanceof EmbeddedDatabaseError) return error.message
  if (codeOf(error) === 'EADDRINUSE') {
    return 'The port is taken: stop what listens there, or set PORT to another.'
  }
  if (error instanceof Error && 'syscall' in error && 'path' in error) {
    return `A file cannot be used: ${error.message}.`
  }
  if (error instanceof Error && isDatabaseOut(error)) {
    return `The database does not let us in (${error.message}): see DATABASE_URL.`
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

/** Nobody there, no such role or database, or the wrong password: PostgreSQL's class 28 and 3D. */
function isDatabaseOut(error: Error): boolean {
  const unreachable = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT', 'EHOSTUNREACH']
  return [error, error.cause]
    .map((each) => codeOf(each) ?? '')
    .some((code) => unreachable.includes(code) || /^(28|3D)\w{3}$/.test(code))
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined
}
