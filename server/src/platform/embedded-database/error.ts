/** A reason why the embedded PostgreSQL cannot serve; its message is one sentence for the operator. */
export class EmbeddedDatabaseError extends Error {
  override readonly name = 'EmbeddedDatabaseError'
}

/** For hosts where the embedded server can never run: names the way out as well as the reason. */
export function unsupportedHost(reason: string, cause?: unknown): EmbeddedDatabaseError {
  const sentence = `${reason} Set DATABASE_URL to use a PostgreSQL of your own.`
  return new EmbeddedDatabaseError(sentence, { cause })
}

export function hasErrorCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && codes.includes(String((error as NodeJS.ErrnoException).code))
}
