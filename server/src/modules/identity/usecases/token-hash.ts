import { createHash } from 'node:crypto'

/**
 * What a table keeps of a token's secret. 256 random bits need no slow hash, and comparing hashes
 * tells nothing through its time.
 */
export function hashOfToken(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url')
}
