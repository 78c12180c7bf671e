import type { AppContext } from '../../../platform/context.ts'

/** The mark on what this installation makes at the provider: others may share the account. */
export function installationOf({ secrets }: Pick<AppContext, 'secrets'>): string {
  return secrets.sign('installation', 'objects at the payment provider').slice(0, 16)
}
