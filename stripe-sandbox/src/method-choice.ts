import type { Context } from './context.ts'
import { invalidRequest } from './errors.ts'
import { getPaymentMethod, keepPaymentMethod } from './payment-methods.ts'
import type { PaymentIntent, PaymentMethodType } from './resources.ts'

/** The bank debits that Stripe offers in a currency, beside cards. */
const DEBIT_OF_CURRENCY: Readonly<Record<string, PaymentMethodType>> = {
  eur: 'sepa_debit',
  gbp: 'bacs_debit',
  usd: 'us_bank_account',
}

/** The types that an intent in this currency takes; a list of allowed ones narrows them down. */
export function eligibleMethodTypes(
  currency: string,
  allowed: readonly PaymentMethodType[] | null | undefined,
): PaymentMethodType[] {
  const debit = DEBIT_OF_CURRENCY[currency]
  const offered: PaymentMethodType[] = debit === undefined ? ['card'] : ['card', debit]
  const eligible = offered.filter((type) => allowed?.includes(type) ?? true)
  if (eligible.length > 0) return eligible
  throw invalidRequest(
    `None of the allowed payment method types can be used for payments in ${currency}.`,
    { param: 'allowed_payment_method_types' },
  )
}

/** Raises unless the method exists and is of an eligible type. */
export function checkMethodType(context: Context, id: string, types: readonly string[]): void {
  const { type } = getPaymentMethod(context, id)
  if (types.includes(type)) return
  throw invalidRequest(
    `The PaymentMethod provided (${type}) is not allowed for this PaymentIntent, which takes: ` +
      `${types.join(', ')}.`,
    { param: 'payment_method' },
  )
}

/** The method that an intent has after a request that may name one. */
export function chooseMethod(
  context: Context,
  intent: PaymentIntent,
  method: string | undefined,
): string | null {
  if (method === undefined) return intent.payment_method
  checkMethodType(context, method, intent.payment_method_types)
  return keepPaymentMethod(context, method)
}

/** Stripe asks for a return address unless redirects are ruled out, whatever the method. */
export function checkReturnUrl(
  automatic: PaymentIntent['automatic_payment_methods'],
  returnUrl: string | undefined,
  intent?: PaymentIntent,
): void {
  if (returnUrl !== undefined || automatic === null || automatic.allow_redirects === 'never') return
  throw invalidRequest(
    'This PaymentIntent accepts payment methods that might redirect your customer off of your ' +
      "page, so you must provide a `return_url`. If you don't want to accept redirect-based " +
      'payment methods, set `automatic_payment_methods[enabled]` to `true` and ' +
      '`automatic_payment_methods[allow_redirects]` to `never`.',
    intent === undefined ? {} : { payment_intent: intent },
  )
}
