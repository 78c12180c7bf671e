/**
 * What the payers, the office and the provider's own people will do: all of it is chosen before
 * anything happens, so that a seed repeats it whatever the network does to it.
 */
export interface Story {
  readonly nth: number
  /** The name of a customer; a guest buys without. */
  readonly customer: string | undefined
  /** The ways in which the payer tries to pay, one after the other. */
  readonly tries: readonly Try[]
  /** How a click on "pay" arrives: as one request or as two at once. */
  readonly clicks: 'once' | 'twice with one key' | 'twice with two keys'
  /** How often the payer's browser asks at once whether it is paid; some never come back. */
  readonly confirms: number
  readonly office: { readonly act: OfficeAct; readonly atStep: number }
  readonly provider: ProviderAct
}

export interface Try {
  readonly by: 'server' | 'browser' | 'page'
  readonly card: Card
  /** Whether the bank decides on a debit while the payer looks on, or long after. */
  readonly isBankQuick: boolean
}

export type OfficeAct = 'nothing' | 'cancels' | 'refunds in parts' | 'takes cash' | 'works on it'
export type ProviderAct = 'nothing' | 'refunds' | 'loses a dispute' | 'wins a dispute'

export interface Card {
  readonly method: string
  /** What its bank wants before it decides. */
  readonly wants: 'nothing' | 'the payer' | 'time'
  readonly pays: boolean
}

const good: Card = { method: 'pm_card_visa', wants: 'nothing', pays: true }
const declined: Card = { method: 'pm_card_chargeDeclined', wants: 'nothing', pays: false }
const shown: Card = { method: 'pm_card_authenticationRequired', wants: 'the payer', pays: true }
const debit: Card = { method: 'pm_bacsDebit_success', wants: 'time', pays: true }
const bounced: Card = { method: 'pm_bacsDebit_accountClosed', wants: 'time', pays: false }

/** Weights beside what they are for. */
type Choices<T> = readonly (readonly [number, T])[]

const wallets: Choices<readonly Card[]> = [
  [8, [good]],
  [3, [declined, good]],
  [1, [declined, declined, good]],
  [3, [shown]],
  [1, [declined, shown]],
  [3, [debit]],
  [1, [bounced, good]],
  [1, [declined]],
  // Looks at the page and leaves.
  [1, []],
]
const ways: Choices<Try['by']> = [
  [4, 'server'],
  [3, 'browser'],
  [3, 'page'],
]
const clicks: Choices<Story['clicks']> = [
  [3, 'once'],
  [1, 'twice with one key'],
  [1, 'twice with two keys'],
]
const confirms: Choices<number> = [
  [3, 1],
  [3, 0],
  [1, 4],
]
const officeActs: Choices<OfficeAct> = [
  [12, 'nothing'],
  [4, 'cancels'],
  [3, 'refunds in parts'],
  [2, 'takes cash'],
  [2, 'works on it'],
]
const providerActs: Choices<ProviderAct> = [
  [14, 'nothing'],
  [2, 'refunds'],
  [1, 'loses a dispute'],
  [1, 'wins a dispute'],
]

/** One customer may have 20 orders open: about half of the orders are guests'. */
const ordersOfOneCustomer = 25

export function writeStories(count: number, random: () => number): Story[] {
  const customers = Math.ceil(count / ordersOfOneCustomer)
  return Array.from({ length: count }, (_, nth): Story => {
    const wallet = choose(wallets, random)
    const way = choose(ways, random)
    const tries = wallet.map((card): Try => ({
      // Most stay with the way that they have begun on.
      by: random() < 0.8 ? way : choose(ways, random),
      card,
      isBankQuick: random() < 0.5,
    }))
    return {
      nth,
      customer: random() < 0.5 ? `payer-${Math.floor(random() * customers)}` : undefined,
      tries,
      clicks: choose(clicks, random),
      confirms: choose(confirms, random),
      office: { act: choose(officeActs, random), atStep: Math.floor(random() * 4) },
      provider: choose(providerActs, random),
    }
  })
}

/** Whether the payer has what it takes, and nobody called the order off. */
export function meansToPay({ tries, office }: Story): boolean {
  return tries.at(-1)?.card.pays === true && office.act !== 'cancels'
}

function choose<T>(choices: Choices<T>, random: () => number): T {
  const all = choices.reduce((total, [weight]) => total + weight, 0)
  let left = random() * all
  for (const [weight, value] of choices) {
    left -= weight
    if (left < 0) return value
  }
  throw new Error('there is nothing to choose from')
}
