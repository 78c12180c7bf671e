import { present } from '../../../kernel/assert.ts'
import { invalidInputAt } from '../../../kernel/errors.ts'
import type { Id } from '../../../kernel/id.ts'
import { permissionsOfRole } from '../../../kernel/permissions.ts'
import type { Context, TxContext } from '../../../platform/context.ts'
import { findCustomer, lockCustomerRecord, type CustomerRecord } from '../../identity/index.ts'
import { findStaffRole } from '../sql/cases.ts'

/** Throws 400 unless this is a colleague in service whose role may work on cases. */
export async function requireAssignable({ db }: Context, userId: Id<'usr'>): Promise<void> {
  const role = await findStaffRole(db, userId)
  if (role && permissionsOfRole[role].includes('crm:write')) return
  throw invalidInputAt({
    pointer: '/assigneeId',
    code: 'not_assignable',
    message: 'must be an active member of staff whose role may work on cases',
  })
}

/** The customer's record; throws 400 where there is none. */
export async function requireCustomer(
  ctx: Context,
  customerId: Id<'cus'>,
): Promise<CustomerRecord> {
  const customer = await findCustomer(ctx, customerId)
  if (customer) return customer
  throw invalidInputAt({
    pointer: '/customerId',
    code: 'unknown',
    message: 'must be an existing customer',
  })
}

/**
 * Whose a case is that is about to be given to this record: its own, or that of the record which it
 * has passed to. Until the transaction ends it passes on no more, and so never without the case.
 */
export async function lockOwner(ctx: TxContext, customerId: Id<'cus'>): Promise<Id<'cus'>> {
  return present(await lockCustomerRecord(ctx, customerId), 'the customer of a case').id
}
