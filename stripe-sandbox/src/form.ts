import qs from 'qs'
import { ParameterError } from './errors.ts'

/** A decoded form value: everything on the wire is text. */
export type FormValue = string | FormValue[] | { [name: string]: FormValue }
export type Form = Record<string, FormValue>

const PARSING: qs.IParseOptions & { decoder?: undefined } = {
  allowDots: false,
  allowEmptyArrays: false,
  arrayLimit: 100,
  depth: 8,
  parameterLimit: 1000,
  plainObjects: true,
  strictDepth: true,
  throwOnLimitExceeded: true,
}

/**
 * Decodes Stripe's form encoding (`a[b]=c`, `list[0]=x`, `list[]=x`); bounded in depth and count.
 */
export function decodeForm(text: string): Form {
  try {
    return qs.parse(text, PARSING) as Form
  } catch (error) {
    if (error instanceof RangeError)
      throw new ParameterError('The request has too many parameters.')
    throw error
  }
}
