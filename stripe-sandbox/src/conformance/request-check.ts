import type { FormValue } from '../form.ts'
import type { Schema } from './description.ts'

/** A way in which a request does not fit its schema. */
export interface Misfit {
  /** The full name of the parameter, such as `metadata[order_id]`; empty for the whole request. */
  param: string
  /** Whether the schema does not know the parameter or, with an enum, its value. */
  unknown: boolean
  problem: string
}

/** Everything in which decoded form data does not fit a schema; all values arrive as text. */
export function findMisfits(schema: Schema, value: FormValue, param = ''): Misfit[] {
  if (schema.anyOf !== undefined) return findAnyOfMisfits(schema.anyOf, value, param)
  if (schema.enum !== undefined && !(typeof value === 'string' && schema.enum.includes(value))) {
    return [misfit(param, `is not one of ${schema.enum.join(', ')}`, true)]
  }
  return CHECKS[schema.type ?? 'string'](schema, value, param)
}

type Check = (schema: Schema, value: FormValue, param: string) => Misfit[]

const CHECKS: Readonly<Record<NonNullable<Schema['type']>, Check>> = {
  array: findArrayMisfits,
  boolean: written(/^(?:true|false)$/, 'is not a boolean'),
  integer: written(/^-?\d+$/, 'is not an integer'),
  number: written(/^-?\d+(?:\.\d+)?$/, 'is not a number'),
  object: findObjectMisfits,
  string: findTextMisfits,
}

/** Fitting one alternative is enough; otherwise the nearest one tells what is wrong. */
function findAnyOfMisfits(alternatives: Schema[], value: FormValue, param: string): Misfit[] {
  const attempts = alternatives.map((alternative) => findMisfits(alternative, value, param))
  if (attempts.some((misfits) => misfits.length === 0)) return []
  return attempts.toSorted((a, b) => depthOf(b) - depthOf(a))[0] ?? []
}

function findObjectMisfits(schema: Schema, value: FormValue, param: string): Misfit[] {
  if (typeof value !== 'object' || Array.isArray(value)) return [misfit(param, 'is not an object')]
  const { additionalProperties, properties = {}, required = [] } = schema
  const missing = required
    .filter((name) => value[name] === undefined)
    .map((name) => misfit(nameIn(param, name), 'is missing'))
  const wrong = Object.entries(value).flatMap(([name, entry]) => {
    const own = properties[name]
    if (own !== undefined) return findMisfits(own, entry, nameIn(param, name))
    if (typeof additionalProperties === 'object') {
      return findMisfits(additionalProperties, entry, nameIn(param, name))
    }
    return additionalProperties === false ? [misfit(nameIn(param, name), 'is unknown', true)] : []
  })
  return [...missing, ...wrong]
}

function findArrayMisfits(schema: Schema, value: FormValue, param: string): Misfit[] {
  if (!Array.isArray(value)) return [misfit(param, 'is not an array')]
  const { items } = schema
  if (items === undefined) return []
  return value.flatMap((entry, index) => findMisfits(items, entry, `${param}[${index}]`))
}

function findTextMisfits(schema: Schema, value: FormValue, param: string): Misfit[] {
  if (typeof value !== 'string') return [misfit(param, 'is not text')]
  if (schema.maxLength === undefined || value.length <= schema.maxLength) return []
  return [misfit(param, `is longer than ${schema.maxLength} characters`)]
}

/** A check of a scalar by the way it is written. */
function written(pattern: RegExp, problem: string): Check {
  return (_schema, value, param) =>
    typeof value === 'string' && pattern.test(value) ? [] : [misfit(param, problem)]
}

function misfit(param: string, problem: string, unknown = false): Misfit {
  return { param, problem, unknown }
}

function nameIn(param: string, name: string): string {
  return param === '' ? name : `${param}[${name}]`
}

/** How far into the value an attempt came before it failed. */
function depthOf(misfits: Misfit[]): number {
  return Math.max(0, ...misfits.map(({ param }) => param.split('[').length))
}
