/**
 * Whether `Accept` asks for JSON rather than for text: by weight, and by what is named first where
 * the weights are equal (RFC 9110, 12.5.1). Whoever takes anything is a scraper, and gets text.
 */
export function prefersJson(accept: string): boolean {
  const named = accept
    .toLowerCase()
    .split(',')
    .map(readMediaRange)
    .filter(({ type, weight }) => weight > 0 && (jsonRange.test(type) || textRange.test(type)))
    .toSorted((one, other) => other.weight - one.weight)
  return jsonRange.test(named[0]?.type ?? '')
}

const jsonRange = /^application\/(\*|([\w.-]+\+)?json)$/
const textRange = /^(text\/(plain|\*)|application\/openmetrics-text)$/

function readMediaRange(range: string): { type: string; weight: number } {
  const [type = '', ...parameters] = range.split(';').map((part) => part.trim())
  const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2)
  return { type, weight: Number(weight ?? 1) }
}
