import type { Description } from './description.ts'
import { findRequestSchema } from './description.ts'
import type { Misfit } from './request-check.ts'
import { findMisfits } from './request-check.ts'
import { readSdkFields } from './sdk-types.ts'

/** A parameter that the description, which is of 2023, does not know yet. */
interface NewerParameter {
  method: string
  /** A path that stands for the template. */
  path: string
  param: string
  reason: string
  /** Where the SDK declares it. */
  sdk: { file: string; name: string }
}

export const NEWER_PARAMETERS: readonly NewerParameter[] = [
  {
    method: 'POST',
    path: '/v1/payment_intents',
    param: 'allowed_payment_method_types',
    reason: 'takes the place of payment_method_types, which the pinned version has no more',
    sdk: { file: 'PaymentIntents', name: 'PaymentIntentCreateParams' },
  },
  {
    method: 'POST',
    path: '/v1/checkout/sessions',
    param: 'allowed_payment_method_types',
    reason: 'takes the place of payment_method_types, which the pinned version has no more',
    sdk: { file: 'Checkout/Sessions', name: 'SessionCreateParams' },
  },
]

/** Whether a misfit is only that the description is older than the parameter. */
export function isNewerParameter(
  description: Description,
  request: { method: string; path: string },
  misfit: Misfit,
): boolean {
  if (!misfit.unknown) return false
  const template = templateOf(description, request)
  return NEWER_PARAMETERS.some(
    (newer) =>
      newer.param === misfit.param &&
      newer.method === request.method &&
      templateOf(description, newer) === template,
  )
}

/**
 * Entries of the list that no longer hold: the SDK does not declare them, or the description does.
 */
export function findStaleEntries(description: Description): string[] {
  return NEWER_PARAMETERS.flatMap((newer) => {
    const label = `${newer.method} ${newer.path} ${newer.param}`
    const { file, name } = newer.sdk
    const found = findRequestSchema(description, newer.method, newer.path)
    const misfits = found === undefined ? [] : findMisfits(found.schema, { [newer.param]: 'x' })
    const unknown = misfits.some((misfit) => misfit.unknown && misfit.param === newer.param)
    return [
      ...(readSdkFields(file, name).has(newer.param) ? [] : [`${label}: not in the SDK's types`]),
      ...(unknown ? [] : [`${label}: the description knows it`]),
    ]
  })
}

function templateOf(description: Description, { method, path }: { method: string; path: string }) {
  return findRequestSchema(description, method, path)?.template
}
