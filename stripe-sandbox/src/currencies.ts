import { invalidRequest, ParameterError } from './errors.ts'

/** Eight digits: the largest amount Stripe takes, in minor units. */
const MAX_AMOUNT = 99_999_999

/** Stripe's published minimum for a charge, in minor units, for the currencies that have one. */
const MINIMUM_AMOUNTS: Readonly<Record<string, number>> = {
  aed: 200,
  aud: 50,
  bgn: 100,
  brl: 50,
  cad: 50,
  chf: 50,
  czk: 1500,
  dkk: 250,
  eur: 50,
  gbp: 30,
  hkd: 400,
  huf: 17_500,
  inr: 50,
  jpy: 50,
  mxn: 1000,
  myr: 200,
  nok: 300,
  nzd: 50,
  pln: 200,
  ron: 200,
  sek: 300,
  sgd: 50,
  thb: 1000,
  usd: 50,
}

const ZERO_DECIMAL = new Set(
  'bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf'.split(' '),
)

const THREE_DECIMAL = new Set('bhd jod kwd omr tnd'.split(' '))

const OTHER_CURRENCIES = (
  'afn all amd ang aoa ars awg azn bam bbd bdt bmd bnd bob bsd bwp byn bzd cdf cny cop crc cve ' +
  'dop dzd egp etb fjd fkp gel gip gmd gtq gyd hnl htg idr ils isk jmd kes kgs khr kyd kzt lak ' +
  'lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk mzn nad ngn nio npr pab pen pgk php pkr ' +
  'qar rsd rub sar sbd scr shp sle sos srd std szl tjs top try ttd twd tzs uah ugx uyu uzs wst ' +
  'xcd xcg yer zar zmw'
).split(' ')

const CURRENCIES = new Set([
  ...Object.keys(MINIMUM_AMOUNTS),
  ...ZERO_DECIMAL,
  ...THREE_DECIMAL,
  ...OTHER_CURRENCIES,
])

/** The currency in lower case; raises for one that Stripe does not take. */
export function readCurrency(text: string, param = 'currency'): string {
  const currency = text.toLowerCase()
  if (CURRENCIES.has(currency)) return currency
  throw invalidRequest(`Invalid currency: ${text}.`, { param })
}

/** Raises unless an amount in minor units can be charged in this currency. */
export function checkChargeable(amount: number, currency: string, param = 'amount'): void {
  if (amount < 1) {
    throw new ParameterError('This value must be greater than or equal to 1.', {
      code: 'parameter_invalid_integer',
      param,
    })
  }
  if (amount > MAX_AMOUNT) {
    throw invalidRequest(`Amount must be no more than ${formatAmount(MAX_AMOUNT, currency)}`, {
      code: 'amount_too_large',
      param,
    })
  }
  const minimum = MINIMUM_AMOUNTS[currency] ?? 1
  if (amount < minimum) {
    throw invalidRequest(`Amount must be at least ${formatAmount(minimum, currency)}`, {
      code: 'amount_too_small',
      param,
    })
  }
  // Stripe rounds nothing: three-decimal amounts must end in a zero.
  if (THREE_DECIMAL.has(currency) && amount % 10 !== 0) {
    throw invalidRequest(`Amounts in ${currency} must be a multiple of 10.`, { param })
  }
}

/** Minor units for people, such as `12.34 GBP` or `500 JPY`. */
export function formatAmount(amount: number, currency: string): string {
  const decimals = ZERO_DECIMAL.has(currency) ? 0 : THREE_DECIMAL.has(currency) ? 3 : 2
  const digits = Math.abs(amount)
    .toString()
    .padStart(decimals + 1, '0')
  const whole = digits.slice(0, digits.length - decimals)
  const fraction = decimals === 0 ? '' : `.${digits.slice(-decimals)}`
  return `${amount < 0 ? '-' : ''}${whole}${fraction} ${currency.toUpperCase()}`
}
