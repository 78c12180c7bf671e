import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import addFormatsModule from 'ajv-formats'
import type { TSchema } from 'typebox'
import { invalidInputAt, type InputProblem } from '../kernel/errors.ts'
import type { InputCode } from '../kernel/input-codes.ts'
import { isStorableText } from './json-body.ts'

// The package is CommonJS whose default export is the function itself.
const addFormats = addFormatsModule.default

/** Nothing is dropped, defaulted or coerced in a body: what does not fit is refused. */
const bodyAjv = createAjv(false)
/** Query and path are text, so numbers and booleans must be read out of it. */
const textAjv = createAjv(true)

export type InputPart = 'body' | 'query' | 'params'

/**
 * A function that throws 400 with JSON Pointers where the value does not fit the schema. Its first
 * call compiles it: a start would wait for all of them at once.
 */
export function createValidator(schema: TSchema, part: InputPart): (value: unknown) => void {
  const ajv = part === 'body' ? bodyAjv : textAjv
  let validate: ValidateFunction | undefined
  return (value) => {
    if (part !== 'body') refuseUnstorable(value, part)
    validate ??= ajv.compile(schema)
    if (!validate(value)) throw invalidInputAt(...toProblems(validate, part))
  }
}

function createAjv(coerceTypes: boolean): Ajv {
  const ajv = new Ajv({
    coerceTypes,
    removeAdditional: false,
    useDefaults: coerceTypes,
    // Bounded by the size of the body (1 MiB); only the first 20 are told.
    allErrors: true,
    strict: false,
    discriminator: true,
  })
  addFormats(ajv, ['date-time', 'email', 'uri'])
  return ajv
}

function toProblems(validate: ValidateFunction, part: InputPart): InputProblem[] {
  const prefix = part === 'body' ? '' : `/${part}`
  const errors = (validate.errors ?? []).filter(isTelling)
  return errors.map((error) => ({
    pointer: prefix + error.instancePath + memberOf(error),
    // A test holds that each keyword of our schemas is among them.
    code: error.keyword as InputCode,
    message: messageOf(error),
  }))
}

/** The branches of a union all complain; the union's own line says it once. */
function isTelling(error: ErrorObject): boolean {
  return error.keyword !== 'if' && !/\/(anyOf|oneOf)\/\d+\//.test(error.schemaPath)
}

function memberOf({ keyword, params }: ErrorObject): string {
  const member: unknown =
    keyword === 'required'
      ? params['missingProperty']
      : keyword === 'additionalProperties'
        ? params['additionalProperty']
        : undefined
  return typeof member === 'string'
    ? `/${member.replaceAll('~', '~0').replaceAll('/', '~1').slice(0, 100)}`
    : ''
}

function messageOf({ keyword, params, message }: ErrorObject): string {
  if (keyword === 'enum') {
    const allowed: unknown = params['allowedValues']
    return `must be one of ${Array.isArray(allowed) ? allowed.join(', ') : 'the listed values'}`
  }
  if (keyword === 'required') return 'is required'
  if (keyword === 'additionalProperties') return 'is not known here'
  return message ?? 'is not valid'
}

function refuseUnstorable(value: unknown, part: InputPart): void {
  if (typeof value !== 'object' || value === null) return
  for (const [key, text] of Object.entries(value)) {
    if (typeof text === 'string' && !isStorableText(text)) {
      throw invalidInputAt({
        pointer: `/${part}/${key}`,
        code: 'text',
        message: 'holds a character that cannot be stored',
      })
    }
  }
}
