import { copyText, type TextRows } from '../../platform/bulk-load.ts'

/** Whom a copy is about, and when it begins. */
export interface Occasion {
  readonly customer: Person
  readonly startsAt: Date
  readonly orderNumber: string
  readonly caseNumber: string
}

export interface Person {
  readonly id: string
  readonly name: string
  readonly email: string
}

/** What stands in a copy where a word of the template stood; `laterMs` is how much later it is. */
export type Slot = (occasion: Occasion, laterMs: number) => string

/** Rows that use-cases have written, and what of them is different in a copy. */
export interface Template<Table extends string> {
  readonly startsAt: Date
  readonly rows: Readonly<Record<Table, TextRows>>
  /** Instants in columns of their own need no word: all of them move. */
  readonly words: ReadonlyMap<string, Slot>
}

/** Makes the rows of one copy: lines of COPY's text format, by their table. */
export type Copier<Table extends string> = (
  occasion: Occasion,
) => Readonly<Record<Table, readonly string[]>>

/** Texts that are the same in every copy, and between them the numbers of slots. */
type Line = readonly (string | number)[]

/** The template is taken apart once, so that a copy of it is little more than joining texts. */
export function createCopier<Table extends string>(template: Template<Table>): Copier<Table> {
  const { startsAt, rows, words } = template
  const tables = Object.keys(rows) as Table[]
  const slots = numberSlots()
  const longestFirst = [...words].toSorted(([one], [other]) => other.length - one.length)
  const toParts = (value: string | null, isInstant: boolean): Line => {
    if (value === null) return ['\\N']
    if (isInstant) return [slots.numberOf(value, instantSlot(new Date(value)))]
    return longestFirst.reduce<Line>(
      (parts, [word, slot]) =>
        parts.flatMap((part): Line => {
          if (typeof part === 'number' || !part.includes(word)) return [part]
          const number = slots.numberOf(word, slot)
          return part.split(word).flatMap((text, nth) => (nth === 0 ? [text] : [number, text]))
        }),
      [copyText(value)],
    )
  }
  const lines = new Map(
    tables.map((table) => {
      const { columns, rows: values } = rows[table]
      const isInstant = (at: number): boolean => columns[at]?.isInstant === true
      const toLine = (row: readonly (string | null)[]): Line =>
        joined(row.map((value, at) => toParts(value, isInstant(at))))
      return [table, values.map(toLine)]
    }),
  )
  return (occasion) => {
    const filled = slots.fill(occasion, occasion.startsAt.getTime() - startsAt.getTime())
    const write = (line: Line): string =>
      line.map((part) => (typeof part === 'number' ? filled[part] : part)).join('')
    const copied = tables.map((table) => [table, lines.get(table)?.map(write) ?? []])
    return Object.fromEntries(copied) as Record<Table, string[]>
  }
}

interface Slots {
  /** One number for a word wherever it stands: a copy has the same there, too. */
  numberOf(word: string, slot: Slot): number
  fill(occasion: Occasion, laterMs: number): string[]
}

function numberSlots(): Slots {
  const slots: Slot[] = []
  const numbers = new Map<string, number>()
  return {
    numberOf: (word, slot) => {
      const number = numbers.get(word) ?? slots.push(slot) - 1
      numbers.set(word, number)
      return number
    },
    fill: (occasion, laterMs) => slots.map((slot) => slot(occasion, laterMs)),
  }
}

function instantSlot(instant: Date): Slot {
  return (_occasion, laterMs) => new Date(instant.getTime() + laterMs).toISOString()
}

/** The values of a row with what stands between and after them; texts in a row are one. */
function joined(values: readonly Line[]): Line {
  const parts: (string | number)[] = []
  const add = (part: string | number): void => {
    const last = parts.at(-1)
    if (typeof part === 'string' && typeof last === 'string') parts[parts.length - 1] = last + part
    else parts.push(part)
  }
  for (const [nth, value] of values.entries()) {
    if (nth > 0) add('\t')
    value.forEach(add)
  }
  add('\n')
  return parts
}
