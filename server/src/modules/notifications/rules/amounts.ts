import { decimalsOf, type Money } from '../../../kernel/money.ts'
import type { House } from './letter.ts'

/** `£199.00`, `¥5,000`, `KWD 1.250`: as many decimals as the currency has. */
export function formatMoney({ amount, currency }: Money): string {
  const decimals = decimalsOf(currency)
  const format = new Intl.NumberFormat('en-GB', {
    style: 'currency',
    currency,
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
  })
  return format.format(amount / 10 ** decimals).replaceAll('\u00a0', ' ')
}

/** `22 November 2026, 16:40 (Europe/London)`, where the business is. */
export function formatInstant(instant: string, { timeZone }: House): string {
  const { day, month, year, hour, minute } = partsOf(instant, timeZone)
  return `${day} ${month} ${year}, ${hour}:${minute} (${timeZone})`
}

/** `22 November 2026`, where the business is. */
export function formatDay(instant: string, { timeZone }: House): string {
  const { day, month, year } = partsOf(instant, timeZone)
  return `${day} ${month} ${year}`
}

/** Put together here: how a locale joins the parts differs between versions of Node. */
function partsOf(instant: string, timeZone: string): Record<string, string> {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    day: 'numeric',
    month: 'long',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  })
  const parts = format.formatToParts(new Date(instant))
  return Object.fromEntries(parts.map(({ type, value }) => [type, value]))
}
