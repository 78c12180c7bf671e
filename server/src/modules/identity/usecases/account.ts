import { createHash } from 'node:crypto'
import type { Audience } from '../schema/index.ts'

/** By what attempts are counted: a hash, because the table of limits shall hold no e-mails. */
export function accountOf(audience: Audience, emailKey: string): string {
  return createHash('sha256').update(`${audience} ${emailKey}`).digest('base64url')
}
