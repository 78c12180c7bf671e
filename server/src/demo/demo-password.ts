import type { Secrets } from '../platform/secrets.ts'

/** 80 bits: nobody guesses it, and it can still be typed. */
const length = 20

/**
 * The password of all logins of the demo: another one in each installation, for it derives from the
 * installation's own key. So it is the same at every start and on every node, and stored nowhere.
 */
export function demoPasswordOf(secrets: Pick<Secrets, 'sign'>): string {
  // A signed link names a document and when it ends; this text can be none.
  const signature = secrets.sign('demo-password', 'the logins of the demo')
  return Buffer.from(signature, 'base64url').toString('hex').slice(0, length)
}
