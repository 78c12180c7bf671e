import type { InputProblem } from '../../../kernel/errors.ts'
import { isCurrency, type Money } from '../../../kernel/money.ts'
import { isSmallMetadata } from '../../../kernel/shapes.ts'
import type { ServiceOption } from '../schema.ts'
import { reservedSlugs } from './text.ts'

/** What the rules look at, of a new service and of one after a patch alike. */
export interface ProposedService {
  readonly slug: string | undefined
  readonly price: Money
  readonly options: readonly ServiceOption[]
  readonly metadata: Readonly<Record<string, unknown>>
}

/** What no schema can say of a service: all complaints, with pointers into the body. */
export function problemsOf(service: ProposedService): InputProblem[] {
  return [
    ...slugProblems(service.slug),
    ...priceProblems(service),
    ...optionProblems(service.options),
    ...metadataProblems(service.metadata),
  ]
}

/** The least that one of it can cost, whatever the customer chooses. */
export function lowestPrice(price: number, options: readonly ServiceOption[]): number {
  return options.reduce((lowest, { required, choices }) => {
    const deltas = choices.map(({ priceDelta }) => priceDelta)
    // Where nothing must be chosen, choosing nothing costs nothing.
    return lowest + Math.min(...deltas, ...(required ? [] : [0]))
  }, price)
}

function slugProblems(slug: string | undefined): InputProblem[] {
  if (slug === undefined || !reservedSlugs.has(slug)) return []
  return [{ pointer: '/slug', code: 'reserved', message: 'is a word of the API itself' }]
}

function priceProblems({ price, options }: ProposedService): InputProblem[] {
  if (!isCurrency(price.currency)) {
    return [
      {
        pointer: '/price/currency',
        code: 'currency',
        message: 'must be a currency of ISO 4217 with 0, 2 or 3 decimals',
      },
    ]
  }
  if (lowestPrice(price.amount, options) >= 0) return []
  return [
    {
      pointer: '/options',
      code: 'negative_price',
      message: 'must not bring the price below zero by any choice',
    },
  ]
}

function optionProblems(options: readonly ServiceOption[]): InputProblem[] {
  const inOptions = repeatedKeys(options).map((index) => duplicateAt(`/options/${index}/key`))
  const inChoices = options.flatMap(({ choices }, index) =>
    repeatedKeys(choices).map((choice) => duplicateAt(`/options/${index}/choices/${choice}/key`)),
  )
  return [...inOptions, ...inChoices]
}

function duplicateAt(pointer: string): InputProblem {
  return { pointer, code: 'duplicate', message: 'is the key of another one before it' }
}

/** Where a key stands that stood before. */
function repeatedKeys(items: readonly { readonly key: string }[]): number[] {
  const seen = new Set<string>()
  return items.flatMap(({ key }, index) => {
    if (seen.has(key)) return [index]
    seen.add(key)
    return []
  })
}

function metadataProblems(metadata: Readonly<Record<string, unknown>>): InputProblem[] {
  if (isSmallMetadata(metadata)) return []
  return [
    {
      pointer: '/metadata',
      code: 'too_large',
      message: 'may have at most 50 members and 16 KiB',
    },
  ]
}
