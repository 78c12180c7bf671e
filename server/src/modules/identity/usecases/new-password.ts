import { invalidInputAt } from '../../../kernel/errors.ts'
import type { AppContext } from '../../../platform/context.ts'
import { findPasswordFault, passwordFaults } from '../rules.ts'

export interface NewPassword {
  readonly password: string
  readonly owner: { readonly email: string; readonly name: string }
  /** Where the password stands in the request. */
  readonly pointer: string
}

/** The hash of a password that may be used. Throws 400 for a weak one; not for transactions. */
export async function hashNewPassword(
  { passwords, business }: Pick<AppContext, 'passwords' | 'business'>,
  { password, owner, pointer }: NewPassword,
): Promise<string> {
  const known = { ...owner, publicUrl: business.publicUrl }
  const fault = findPasswordFault(password, known, (text) => passwords.isCommon(text))
  if (fault) throw invalidInputAt({ pointer, code: fault, message: passwordFaults[fault] })
  return await passwords.hash(password)
}
