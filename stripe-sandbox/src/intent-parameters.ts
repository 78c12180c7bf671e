import { shippingReader } from './customers.ts'
import { createdRange, pageParameters } from './lists.ts'
import {
  address,
  clearable,
  flag,
  integer,
  listOf,
  metadata,
  oneOf,
  record,
  required,
  text,
  textUpTo,
  type Values,
} from './parameters.ts'

const captureMethod = oneOf('automatic', 'automatic_async', 'manual')
const setupFutureUsage = oneOf('off_session', 'on_session')
/** The methods that the sandbox models; Stripe knows many more. */
export const methodTypes = listOf(oneOf('bacs_debit', 'card', 'sepa_debit', 'us_bank_account'), 10)
const descriptorSuffix = textUpTo(22)

const automaticPaymentMethods = record({
  allow_redirects: oneOf('always', 'never'),
  enabled: required(flag),
})

export const createParameters = {
  allowed_payment_method_types: methodTypes,
  amount: required(integer),
  automatic_payment_methods: automaticPaymentMethods,
  capture_method: captureMethod,
  confirm: flag,
  currency: required(text),
  customer: text,
  description: textUpTo(1000),
  error_on_requires_action: flag,
  metadata,
  off_session: flag,
  payment_method: text,
  receipt_email: text,
  return_url: address,
  setup_future_usage: setupFutureUsage,
  shipping: shippingReader,
  statement_descriptor_suffix: descriptorSuffix,
}

export const updateParameters = {
  amount: integer,
  capture_method: captureMethod,
  currency: text,
  customer: text,
  description: textUpTo(1000),
  metadata: clearable(metadata),
  payment_method: text,
  receipt_email: clearable(text),
  setup_future_usage: clearable(setupFutureUsage),
  shipping: clearable(shippingReader),
  statement_descriptor_suffix: descriptorSuffix,
}

export const confirmParameters = {
  capture_method: captureMethod,
  error_on_requires_action: flag,
  off_session: flag,
  payment_method: text,
  receipt_email: clearable(text),
  return_url: address,
  setup_future_usage: clearable(setupFutureUsage),
  shipping: clearable(shippingReader),
}

export const cancelParameters = {
  cancellation_reason: oneOf('abandoned', 'duplicate', 'fraudulent', 'requested_by_customer'),
}

export const captureParameters = {
  amount_to_capture: integer,
  metadata: clearable(metadata),
}

export const listParameters = { ...pageParameters, created: createdRange, customer: text }

export type CreateValues = Values<typeof createParameters>
export type UpdateValues = Values<typeof updateParameters>
export type ConfirmValues = Values<typeof confirmParameters>
export type CancelValues = Values<typeof cancelParameters>
export type CaptureValues = Values<typeof captureParameters>
export type ListValues = Values<typeof listParameters>
