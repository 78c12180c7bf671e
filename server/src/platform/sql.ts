import { createHash } from 'node:crypto'

/** What no JSON can hold: input that looks like a part of a statement stays a value. */
const fragmentMark = Symbol('sql')

/**
 * A statement or a part of one: text pieces with the values between them. Values travel apart from
 * the text always; only another `Sql` becomes text.
 */
export interface Sql {
  readonly [fragmentMark]: true
  readonly pieces: readonly string[]
  readonly values: readonly unknown[]
}

/** What the driver takes. `name` makes it a prepared statement on each connection. */
export interface CompiledStatement {
  readonly text: string
  readonly name: string
  readonly values: readonly unknown[]
}

export function sql(strings: TemplateStringsArray, ...values: readonly unknown[]): Sql {
  if (!values.some(isSql)) return { [fragmentMark]: true, pieces: strings, values }
  const pieces: string[] = [strings[0] ?? '']
  const flat: unknown[] = []
  values.forEach((value, index) => {
    const following = strings[index + 1] ?? ''
    if (isSql(value)) {
      append(pieces, flat, value)
      pieces[pieces.length - 1] += following
    } else {
      flat.push(value)
      pieces.push(following)
    }
  })
  return { [fragmentMark]: true, pieces, values: flat }
}

/** Nothing: for the branch of a condition that adds no text. */
export const nothing: Sql = sql``

/** The parts with `separator` between them; nothing for no parts. */
export function joinSql(parts: readonly Sql[], separator: ', ' | ' and ' | ' or '): Sql {
  const pieces: string[] = ['']
  const values: unknown[] = []
  parts.forEach((part, index) => {
    if (index > 0) pieces[pieces.length - 1] += separator
    append(pieces, values, part)
  })
  return { [fragmentMark]: true, pieces, values }
}

/** A value for a `jsonb` parameter: arrays too, which the driver would send as SQL arrays. */
export function json(value: unknown): string {
  return JSON.stringify(value)
}

/** Text with `$1 …` and a name by the hash of the text: equal text is one prepared statement. */
export function compile(statement: Sql): CompiledStatement {
  const known = compiledTemplates.get(statement.pieces)
  if (known) return { ...known, values: statement.values }
  const text = statement.pieces.reduce((before, piece, index) => `${before}$${index}${piece}`)
  const compiled = { text, name: nameOf(text) }
  // A template without parts has one array of pieces for the life of the process: its text is
  // made once. Composed statements have a fresh array each time and must not be kept by it.
  if (Object.isFrozen(statement.pieces)) compiledTemplates.set(statement.pieces, compiled)
  return { ...compiled, values: statement.values }
}

const compiledTemplates = new WeakMap<readonly string[], { text: string; name: string }>()
const names = new Map<string, string>()
/** A bound against a bug that composes text from input; the house has a few hundred statements. */
const maxNames = 2000

function nameOf(text: string): string {
  const known = names.get(text)
  if (known !== undefined) return known
  // An empty name is the unnamed statement: parsed each time and never kept.
  if (names.size >= maxNames) return ''
  const name = createHash('sha256').update(text).digest('base64url').slice(0, 22)
  names.set(text, name)
  return name
}

function isSql(value: unknown): value is Sql {
  return (
    typeof value === 'object' && value !== null && (value as Partial<Sql>)[fragmentMark] === true
  )
}

function append(pieces: string[], values: unknown[], part: Sql): void {
  const [first = '', ...rest] = part.pieces
  pieces[pieces.length - 1] += first
  pieces.push(...rest)
  values.push(...part.values)
}
