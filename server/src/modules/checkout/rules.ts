import type { DifferenceKind, DifferenceObject, DifferenceSide } from './schema.ts'

/** How far back the comparison of each night looks: a dispute may come that late. */
export const wideDays = 35

/** What a suggestion needs to know of a difference. */
export interface FoundDifference {
  readonly kind: DifferenceKind
  readonly object: DifferenceObject
  readonly theirs: DifferenceSide | null
  readonly healed: boolean
}

/** What a person may do about a difference. */
export function suggestionFor({ kind, object, theirs, healed }: FoundDifference): string {
  if (healed) return 'Nothing is left to do: the news was lost on its way and has been taken in.'
  switch (kind) {
    case 'missing_here':
      return suggestionForUnknown(object, theirs?.status === 'succeeded')
    case 'missing_at_provider':
      return object === 'refund'
        ? 'Look at the refund’s job and at the provider: the money may not have gone back.'
        : 'Look whether the key belongs to the account where it was made; then correct by hand.'
    case 'currency_differs':
    case 'amount_differs':
      return 'Compare both sides in the provider’s dashboard; give back what is not owed.'
    case 'status_differs':
      return theirs?.status === 'succeeded'
        ? 'Money came that the books could not take in: give it back, or record it by hand.'
        : 'Look at the object in the provider’s dashboard, and end it there if nobody needs it.'
    case 'ledger_differs':
      return 'A fault of the software: keep the order as it is and report it.'
    case 'not_processed':
      return 'Retry its failed job; the object itself is compared by each run all the same.'
    default:
      return kind satisfies never
  }
}

function suggestionForUnknown(object: DifferenceObject, isMoney: boolean): string {
  if (object === 'dispute') return 'Answer it in the provider’s dashboard: its payment is unknown.'
  if (object === 'refund') return 'Its payment is not in the books: settle that first.'
  return isMoney
    ? 'Money came for what the books do not know: find its order, or give it back.'
    : 'An attempt that the books do not know and nobody paid: cancel it at the provider.'
}
