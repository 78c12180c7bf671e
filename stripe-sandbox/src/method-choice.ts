import type { Context } from './context.ts'
import { invalidRequest } from './errors.ts'
import type { CreateValues } from './intent-parameters.ts'
import { getPaymentMethod, keepPaymentMethod } from './payment-methods.ts'
import type { PaymentIntent } from './resources.ts'

/** The bank debits that Stripe offers in a currency, beside cards. */
const DEBIT_OF_CURRENCY: Readonly<Record<string, string>> = {
  eur: 'sepa_debit',
  gbp: 'bacs_debit',
  usd: 'us_bank_account',
}

export function readMethodTypes(values: CreateValues, currency: string) {
  const debit = DEBIT_OF_CURRENCY[currency]
  const automatic = values.automatic_payment_methods
  if (automatic?.enabled === true && values.payment_method_types !== undefined) {
    throw invalidRequest(
      'You may only specify one of these parameters: automatic_payment_methods, payment_method_types.',
    )
  }
  if (values.payment_method_types !== undefined) {
    return { types: values.payment_method_types, automatic: null }
  }
  if (automatic?.enabled === false) return { types: ['card'], automatic: null }
  return {
    types: debit === undefined ? ['card'] : ['card', debit],
    automatic: {
      allow_redirects: automatic?.allow_redirects ?? ('always' as const),
      enabled: true as const,
    },
  }
}

export function checkMethodType(
  context: Context,
  id: string,
  terms: { currency: string; types: readonly string[] },
): void {
  const { type } = getPaymentMethod(context, id)
  if (!terms.types.includes(type)) {
    throw invalidRequest(
      `The PaymentMethod provided (${type}) is not allowed for this PaymentIntent, which takes: ` +
        `${terms.types.join(', ')}.`,
      { param: 'payment_method' },
    )
  }
  if (type !== 'card' && DEBIT_OF_CURRENCY[terms.currency] !== type) {
    throw invalidRequest(`The currency ${terms.currency} is not supported for ${type}.`, {
      param: 'currency',
    })
  }
}

export function chooseMethod(
  context: Context,
  intent: PaymentIntent,
  method: string | undefined,
): string | null {
  if (method === undefined) return intent.payment_method
  checkMethodType(context, method, {
    currency: intent.currency,
    types: intent.payment_method_types,
  })
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
