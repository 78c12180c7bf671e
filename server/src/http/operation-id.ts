import type { Endpoint } from './endpoint.ts'

/** Words that a path ends with where it names something done, not something kept. */
const actions = new Set([
  'activate',
  'change',
  'confirm',
  'disable',
  'forgot',
  'login',
  'logout',
  'process',
  'refresh',
  'register',
  'reset',
  'resolve',
  'retry',
  'setup',
  'upload',
  'verify',
])

/** Where the rule below would not speak English. */
const spoken: Readonly<Record<string, string>> = {
  'POST /api/orders': 'placeOrder',
  'POST /api/webhook/stripe': 'receiveStripeWebhook',
  'POST /api/notifications/email': 'sendEmail',
  'GET /api/auth/me': 'getOwnProfile',
  'GET /livez': 'getLiveness',
  'GET /readyz': 'getReadiness',
}

/** A verb and a noun from method and path alone, so that clients keep their function names. */
export function operationIdOf({ method, path, contract }: Endpoint): string {
  const known = spoken[`${method} ${path}`]
  if (known !== undefined) return known
  const nouns = path
    .split('/')
    .filter((part) => part !== '' && part !== 'api' && part !== 'auth' && !part.startsWith(':'))
  const last = nouns.at(-1) ?? ''
  if (method === 'POST' && actions.has(last))
    return toName(last, nouns.slice(0, -1).map(toSingular))
  // Without an id at its end, DELETE is for all of them.
  if (method === 'DELETE' && !path.split('/').at(-1)?.startsWith(':')) {
    return toName('delete', [...nouns.slice(0, -1).map(toSingular), last])
  }
  if (contract.list) return toName('list', [...nouns.slice(0, -1).map(toSingular), last])
  return toName(verbs[method], nouns.map(toSingular))
}

const verbs = { GET: 'get', POST: 'create', PATCH: 'update', DELETE: 'delete' } as const

function toName(verb: string, nouns: readonly string[]): string {
  const words = nouns.flatMap((noun) => noun.split('-'))
  return verb + words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')
}

function toSingular(noun: string): string {
  if (noun.endsWith('ies')) return `${noun.slice(0, -3)}y`
  return /[^su]s$/.test(noun) ? noun.slice(0, -1) : noun
}
