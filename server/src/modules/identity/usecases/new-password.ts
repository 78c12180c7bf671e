import { invalidInputAt } from '../../../kernel/errors.ts'
import type { AppContext } from '../../../platform/context.ts'
import { findPasswordFault, passwordFaults } from '../rules.ts'

export interface NewPassword {
  readonly password: string
  readonly owner: { readonly email: string; readonly name: string }
  /** Where the password stands in the request. */
  readonly pointer: string
}

type Judges = Pick<AppContext, 'passwords' | 'business'>

/** The hash of a password that may be used. Throws 400 for a weak one; not for transactions. */
export async function hashNewPassword(ctx: Judges, given: NewPassword): Promise<string> {
  refuseWeakPassword(ctx, given)
  return await ctx.passwords.hash(given.password)
}

/** Throws 400, with its pointer, for a password that is too easily guessed. */
export function refuseWeakPassword(
  { passwords, business }: Judges,
  { password, owner, pointer }: NewPassword,
): void {
  const known = { ...owner, publicUrl: business.publicUrl }
  const fault = findPasswordFault(password, known, (text) => passwords.isCommon(text))
  if (fault) throw invalidInputAt({ pointer, code: fault, message: passwordFaults[fault] })
}
