import { ParameterError } from './errors.ts'
import type { Form, FormValue } from './form.ts'

/** Reads one decoded form value into a typed one; `name` is its full name for error messages. */
export type Reader<T> = (value: FormValue, name: string) => T

export interface RequiredReader<T> {
  readonly required: Reader<T>
}

/** What an operation takes: each name either required or, as a bare reader, optional. */
export type Parameters = Readonly<Record<string, Reader<unknown> | RequiredReader<unknown>>>

type Reading<Parameter> =
  Parameter extends RequiredReader<infer T> ? T : Parameter extends Reader<infer T> ? T : never

type RequiredNames<P extends Parameters> = {
  [Name in keyof P]: P[Name] extends RequiredReader<unknown> ? Name : never
}[keyof P]

/** The typed values of a form: what is optional may be absent. */
export type Values<P extends Parameters> = {
  readonly [Name in RequiredNames<P>]: Reading<P[Name]>
} & {
  readonly [Name in Exclude<keyof P, RequiredNames<P>>]?: Reading<P[Name]> | undefined
}

/** Reads a whole form; raises Stripe's 400 for what is unknown, missing or malformed. */
export function readParameters<P extends Parameters>(
  parameters: P,
  form: Form,
  parent = '',
): Values<P> {
  const unknown = Object.keys(form).filter((name) => !Object.hasOwn(parameters, name))
  const [first] = unknown
  if (first !== undefined) {
    const names = unknown.map((name) => fullName(parent, name)).join(', ')
    throw new ParameterError(
      `Received unknown parameter${unknown.length > 1 ? 's' : ''}: ${names}`,
      {
        code: 'parameter_unknown',
        param: fullName(parent, first),
      },
    )
  }
  const values: Record<string, unknown> = {}
  for (const [name, parameter] of Object.entries(parameters)) {
    const value = readParameter(parameter, form[name], fullName(parent, name))
    if (value !== undefined) values[name] = value
  }
  return values as Values<P>
}

export function required<T>(reader: Reader<T>): RequiredReader<T> {
  return { required: reader }
}

export const text: Reader<string> = (value, name) => readText(value, name, 5000)

/** Text of at most so many characters. */
export function textUpTo(maxLength: number): Reader<string> {
  return (value, name) => readText(value, name, maxLength)
}

export const integer: Reader<number> = (value, name) => {
  if (typeof value !== 'string' || !/^-?\d{1,15}$/.test(value)) {
    throw new ParameterError(`Invalid integer: ${shown(value)}`, {
      code: 'parameter_invalid_integer',
      param: name,
    })
  }
  return Number(value)
}

/** A whole number between two bounds, both included. */
export function integerBetween(least: number, most: number): Reader<number> {
  return (value, name) => {
    const number = integer(value, name)
    if (number >= least && number <= most) return number
    const rule =
      number < least ? `greater than or equal to ${least}` : `less than or equal to ${most}`
    throw new ParameterError(`This value must be ${rule}.`, {
      code: 'parameter_invalid_integer',
      param: name,
    })
  }
}

/** A number from 0 to 1, written with a point. */
export const probability: Reader<number> = (value, name) => {
  if (typeof value === 'string' && /^(?:0(?:\.\d{1,20})?|1(?:\.0{1,20})?)$/.test(value)) {
    return Number(value)
  }
  throw new ParameterError(`Invalid probability: ${shown(value)}`, { param: name })
}

export const flag: Reader<boolean> = (value, name) => {
  if (value === 'true') return true
  if (value === 'false') return false
  throw new ParameterError(`Invalid boolean: ${shown(value)}`, { param: name })
}

export function oneOf<const T extends string>(...choices: T[]): Reader<T> {
  return (value, name) => {
    const choice = choices.find((candidate) => candidate === value)
    if (choice !== undefined) return choice
    throw new ParameterError(`Invalid ${name}: must be one of ${choices.join(', ')}`, {
      param: name,
    })
  }
}

/** A parameter that an empty string unsets: read as null. */
export function clearable<T>(reader: Reader<T>): Reader<T | null> {
  return (value, name) => (value === '' ? null : reader(value, name))
}

export function listOf<T>(reader: Reader<T>, maxLength = 100): Reader<T[]> {
  return (value, name) => {
    if (!Array.isArray(value)) {
      throw new ParameterError(`Invalid array: ${shown(value)}`, { param: name })
    }
    if (value.length > maxLength) {
      throw new ParameterError(`Invalid array: at most ${maxLength} entries.`, { param: name })
    }
    return value.map((entry, index) => reader(entry, `${name}[${index}]`))
  }
}

export function record<P extends Parameters>(parameters: P): Reader<Values<P>> {
  return (value, name) => readParameters(parameters, readRecord(value, name), name)
}

/** An absolute http or https address. */
export const address: Reader<string> = (value, name) => {
  const written = text(value, name)
  if (/^https?:\/\//i.test(written) && URL.canParse(written)) return written
  throw new ParameterError('Not a valid URL', { code: 'url_invalid', param: name })
}

export type MetadataChange = Readonly<Record<string, string>>

/**
 * Metadata as sent; an empty value means "remove this key". Stripe's limits: 50 keys, 40 and 500
 * characters.
 */
export const metadata: Reader<MetadataChange> = (value, name) => {
  const change: Record<string, string> = {}
  for (const [key, entry] of Object.entries(readRecord(value, name))) {
    if (typeof entry !== 'string') {
      throw new ParameterError('Metadata values must be strings.', { param: `${name}[${key}]` })
    }
    if (key.length > 40 || entry.length > 500) {
      throw new ParameterError(
        'Metadata keys have at most 40 characters, metadata values at most 500.',
        { param: `${name}[${key}]` },
      )
    }
    change[key] = entry
  }
  return change
}

/** Applies a change of metadata: keys merge, empty values remove, null empties all of it. */
export function mergeMetadata(
  current: Readonly<Record<string, string>>,
  change: MetadataChange | null | undefined,
): Record<string, string> {
  if (change === null) return {}
  const merged = Object.entries({ ...current, ...change }).filter(([, value]) => value !== '')
  if (merged.length > 50) {
    throw new ParameterError('Metadata can have at most 50 keys.', { param: 'metadata' })
  }
  return Object.fromEntries(merged)
}

function readParameter(
  parameter: Reader<unknown> | RequiredReader<unknown>,
  value: FormValue | undefined,
  name: string,
): unknown {
  if (typeof parameter === 'function')
    return value === undefined ? undefined : parameter(value, name)
  if (value === undefined) {
    throw new ParameterError(`Missing required param: ${name}.`, {
      code: 'parameter_missing',
      param: name,
    })
  }
  return parameter.required(value, name)
}

function readText(value: FormValue, name: string, maxLength: number): string {
  if (typeof value !== 'string') {
    throw new ParameterError(`Invalid string: ${shown(value)}`, { param: name })
  }
  if (value === '') {
    throw new ParameterError(
      `You passed an empty string for '${name}'. An empty value would unset a parameter, ` +
        `but '${name}' cannot be unset: leave it out or supply a value.`,
      { code: 'parameter_invalid_empty', param: name },
    )
  }
  if (value.length > maxLength) {
    throw new ParameterError(`Invalid string: at most ${maxLength} characters.`, { param: name })
  }
  return value
}

function readRecord(value: FormValue, name: string): Form {
  if (typeof value === 'object' && !Array.isArray(value)) return value
  throw new ParameterError(`Invalid object: ${shown(value)}`, { param: name })
}

function fullName(parent: string, name: string): string {
  return parent === '' ? name : `${parent}[${name}]`
}

/** A value as an error message may quote it. */
function shown(value: FormValue): string {
  return (typeof value === 'string' ? value : JSON.stringify(value)).slice(0, 100)
}
