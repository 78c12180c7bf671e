import type { Surface } from './promise.ts'
import { noSurface } from './promise.ts'

/** What Bureau does not have yet, each with a guard that sees it come. */

const route = (method: Surface['method'], path: string, contract: object = {}): Surface => ({
  method,
  path,
  contract: contract as Surface['contract'],
})

const bodyOf = (properties: object): object => ({ body: { type: 'object', properties } })

/** Names of the members of a request, at any depth. */
function memberNames(schema: unknown): string[] {
  if (typeof schema !== 'object' || schema === null) return []
  const own = 'properties' in schema ? Object.keys(schema.properties as object) : []
  return [...own, ...Object.values(schema).flatMap(memberNames)]
}

const takes = ({ contract }: Surface, name: RegExp): boolean =>
  memberNames([contract.body, contract.query]).some((member) => name.test(member))

noSurface(17, 'stock, slots or appointments', {
  find: (endpoint) =>
    /stock|inventor|slot|appointment|booking|capacit/i.test(endpoint.path) ||
    takes(endpoint, /stock|inventory|slot|appointment|booking|capacity|remaining/i),
  sample: route('POST', '/api/orders', bodyOf({ slotId: { type: 'string' } })),
})

noSurface(58, 'acting as somebody else', {
  find: (endpoint) =>
    /impersonat|act-as|sudo/i.test(endpoint.path) || takes(endpoint, /impersonat|actAs|onBehalf/i),
  sample: route('POST', '/api/users/:id/impersonate'),
})

noSurface(69, 'exports to spreadsheets', {
  find: (endpoint) =>
    /export|csv|xlsx/i.test(endpoint.path) ||
    takes(endpoint, /^(export|format)$/i) ||
    /csv|spreadsheet/i.test(JSON.stringify(endpoint.contract.alsoProduces ?? '')),
  sample: route('GET', '/api/orders/export'),
})

/** Where a person is sent back to is compared with a list (promise 71) and never fetched. */
const returnAddresses = /^(success|cancel)Url$/

noSurface(72, 'addresses that Bureau would fetch for a user', {
  find: (endpoint) =>
    /hooks?(\/|$)|import|avatar|proxy|fetch/i.test(endpoint.path.replace('webhook/stripe', '')) ||
    memberNames([endpoint.contract.body, endpoint.contract.query]).some(
      (member) => /ur[il]$|webhook|callback|avatar/i.test(member) && !returnAddresses.test(member),
    ),
  sample: route('POST', '/api/webhooks', bodyOf({ targetUrl: { type: 'string' } })),
})

noSurface(85, 'thumbnails', {
  find: (endpoint) => /thumb|preview/i.test(endpoint.path) || takes(endpoint, /thumb|preview/i),
  sample: route('GET', '/api/documents/:key/thumbnail'),
})
