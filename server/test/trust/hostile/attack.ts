import fc from 'fast-check'
import type { TSchema } from 'typebox'
import { querySchemaOf } from '../../../src/http/compile.ts'
import type { Endpoint } from '../../../src/http/endpoint.ts'
import { modules } from '../../../src/modules/index.ts'
import type { TestApp } from '../../support/app.ts'
import { signedByProvider } from '../../examples/prepared-business.ts'
import { callersOf, type Caller, type CallerName } from './people.ts'
import {
  hostileBody,
  hostileHeader,
  hostileJson,
  hostileMethod,
  hostileQuery,
  hostileSegment,
  hostileText,
  inheritedNames,
} from './values.ts'

/** A valid request of one operation and one caller, with something hostile in some of its places. */
export interface Attack {
  readonly endpoint: Endpoint
  readonly caller: CallerName
  readonly changes: readonly Change[]
}

type Change =
  | { readonly in: 'body'; readonly at: readonly string[]; readonly json: string }
  /** Members put before the others and after them, so that keys come twice. */
  | { readonly in: 'members'; readonly first: string; readonly last: string }
  | { readonly in: 'whole body'; readonly bytes: Buffer }
  | { readonly in: 'form'; readonly field: string; readonly text: string }
  | { readonly in: 'path'; readonly name: string; readonly segment: string }
  | { readonly in: 'query'; readonly query: string }
  | { readonly in: 'header'; readonly line: string }
  | { readonly in: 'method'; readonly method: string }

export const endpoints = modules.flatMap((module) => module.endpoints)

export const nameOf = ({ method, path }: Endpoint): string => `${method} ${path}`

/** What may be sent to one operation: every caller that it knows, one to three places. */
export function attacksOn(endpoint: Endpoint): fc.Arbitrary<Attack> {
  return fc
    .record({
      endpoint: fc.constant(endpoint),
      caller: fc.constantFrom(...callersOf(endpoint.contract.access)),
      changes: fc.oneof(
        { weight: 3, arbitrary: fc.tuple(changesOf(endpoint)) },
        { weight: 1, arbitrary: fc.array(changesOf(endpoint), { minLength: 2, maxLength: 3 }) },
      ),
    })
    .map((attack) => ({ ...attack, [fc.toStringMethod]: () => describeAttack(attack) }))
}

/** The places of the operation that its contract has, so that each is hit about as often. */
function changesOf({ path, contract }: Endpoint): fc.Arbitrary<Change> {
  const params = [...path.matchAll(/:(\w+)/g)].map(([, name = '']) => name)
  const queries = Object.keys(querySchemaOf(contract).properties)
  const members = contract.body ? placesIn(contract.body) : []
  const key = fc.oneof(hostileText, fc.constantFrom(...inheritedNames)).map((text) => {
    return JSON.stringify(text)
  })
  const member = fc.tuple(key, hostileJson).map(([name, json]) => `${name}:${json}`)
  const choices: fc.WeightedArbitrary<Change>[] = [
    { weight: 2, arbitrary: hostileHeader.map((line) => ({ in: 'header', line })) },
    { weight: 1, arbitrary: hostileMethod.map((method) => ({ in: 'method', method })) },
    {
      weight: 1 + Math.min(4, queries.length),
      arbitrary: fc
        .constantFrom(...(queries.length > 0 ? queries : ['q']))
        .chain((name) => hostileQuery(name))
        .map((query) => ({ in: 'query', query })),
    },
  ]
  if (params.length > 0) {
    choices.push({
      weight: 4,
      arbitrary: fc.record({
        in: fc.constant('path' as const),
        name: fc.constantFrom(...params),
        segment: hostileSegment,
      }),
    })
  }
  if (contract.upload) {
    choices.push({
      weight: 6,
      arbitrary: fc.record({
        in: fc.constant('form' as const),
        field: fc.oneof(
          fc.constantFrom('orderId', 'caseId', 'label', 'visibility', 'filename', 'type'),
          hostileText,
        ),
        text: hostileText,
      }),
    })
  } else {
    choices.push(
      { weight: 1, arbitrary: hostileBody.map((bytes) => ({ in: 'whole body', bytes })) },
      {
        weight: 1,
        arbitrary: fc.record({ in: fc.constant('members' as const), first: member, last: member }),
      },
    )
  }
  if (members.length > 0 && !contract.upload) {
    choices.push({
      weight: 8,
      arbitrary: fc.record({
        in: fc.constant('body' as const),
        at: fc.constantFrom(...members),
        json: hostileJson,
      }),
    })
  }
  return fc.oneof(...choices)
}

/** Every place of a body, as member names; an array is looked at by its first item. */
export function placesIn(schema: TSchema, at: readonly string[] = []): (readonly string[])[] {
  const { properties, items, anyOf, oneOf } = schema as {
    properties?: Record<string, TSchema>
    items?: TSchema
    anyOf?: TSchema[]
    oneOf?: TSchema[]
  }
  const below = [
    ...Object.entries(properties ?? {}).map(([name, member]) => [name, member] as const),
    ...(items ? [['0', items] as const] : []),
  ].flatMap(([name, member]) => [[...at, name], ...placesIn(member, [...at, name])])
  const branches = [...(anyOf ?? []), ...(oneOf ?? [])].flatMap((one) => placesIn(one, at))
  const all = [...below, ...branches].map((place) => JSON.stringify(place))
  return [...new Set(all)].map((place) => JSON.parse(place) as string[])
}

/** The bytes of the request, as they go over the wire. */
export function bytesOf(app: TestApp, { endpoint, changes }: Attack, caller: Caller): Buffer {
  const { contract } = endpoint
  const example = withThings(contract.example, caller.things)
  const changed = <Kind extends Change['in']>(kind: Kind) =>
    changes.filter((change): change is Extract<Change, { in: Kind }> => change.in === kind)
  const segments = new Map(changed('path').map(({ name, segment }) => [name, segment]))
  const path = endpoint.path.replaceAll(/:(\w+)/g, (_, name: string) => {
    return segments.get(name) ?? encodeURIComponent(example.params?.[name] ?? '')
  })
  const queries = [
    new URLSearchParams(example.query).toString(),
    ...changed('query').map(({ query }) => query),
  ].filter((query) => query !== '')
  const method = changed('method').at(-1)?.method ?? endpoint.method
  const body = contract.upload ? formOf(example.body, changed('form')) : jsonOf(example.body)
  const lines = [
    `${method} ${path}${queries.length > 0 ? `?${queries.join('&')}` : ''} HTTP/1.1`,
    'Host: 127.0.0.1',
    'Connection: close',
    ...caller.headers,
    ...changed('header').map(({ line }) => line),
  ]
  if (body !== undefined) {
    if (!lines.some((line) => /^content-type:/i.test(line))) {
      lines.push(`Content-Type: ${contract.upload ? formType : 'application/json'}`)
    }
    if (!lines.some((line) => /^transfer-encoding:/i.test(line))) {
      lines.push(`Content-Length: ${body.length}`)
    }
    if (contract.rawBody) {
      lines.push(`Stripe-Signature: ${signedByProvider(app, body.toString())}`)
    }
  }
  const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
  return body === undefined ? head : Buffer.concat([head, body])

  function jsonOf(valid: unknown): Buffer | undefined {
    const whole = changed('whole body').at(-1)
    if (whole) return whole.bytes
    const members = changed('members')
    const places = changed('body')
    if (valid === undefined && members.length === 0 && places.length === 0) return undefined
    let value: unknown = valid ?? {}
    places.forEach(({ at }, index) => (value = put(value, at, placeholder(index))))
    let text = JSON.stringify(value)
    for (const [index, { json }] of places.entries()) {
      text = text.replace(JSON.stringify(placeholder(index)), () => json)
    }
    for (const { first, last } of members) {
      text = text.replace(/^\{/, () => `{${first},`).replace(/\}$/, () => `,${last}}`)
    }
    return Buffer.from(text)
  }
}

const placeholder = (index: number): string => `place of change ${index}`

/** The value with another one at that place, and what is missing on the way there. */
function put(value: unknown, [name, ...rest]: readonly string[], member: unknown): unknown {
  if (name === undefined) return member
  if (/^\d+$/.test(name)) {
    const items = Array.isArray(value) ? (value as unknown[]) : []
    return [put(items[0], rest, member), ...items.slice(1)]
  }
  const before = typeof value === 'object' && value !== null ? value : {}
  return { ...before, [name]: put((before as Record<string, unknown>)[name], rest, member) }
}

const boundary = 'boundary-of-the-form'
const formType = `multipart/form-data; boundary=${boundary}`

function formOf(
  fields: unknown,
  changes: readonly { readonly field: string; readonly text: string }[],
): Buffer {
  const all = new Map(Object.entries((fields ?? {}) as Record<string, string>))
  for (const { field, text } of changes) all.set(field, text)
  const { filename = 'goods.txt', type = 'text/plain', ...own } = Object.fromEntries(all)
  const part = (head: string, content: string): string =>
    `--${boundary}\r\nContent-Disposition: form-data; ${head}\r\n\r\n${content}\r\n`
  const parts = Object.entries(own).map(([name, text]) => part(`name="${name}"`, text))
  const file = part(`name="file"; filename="${filename}"\r\nContent-Type: ${type}`, 'Class 9\n')
  return Buffer.from(`${parts.join('')}${file}--${boundary}--\r\n`)
}

/** By its form: what a text of an example is the name of. */
const forms: readonly (readonly [RegExp, string])[] = [
  [/^[0-9a-z]{32}$/, 'doc'],
  [/^B-\d+$/, 'ord'],
  [/^C-\d+$/, 'case'],
  ...['svc', 'cat', 'cus', 'usr', 'ord', 'case'].map(
    (prefix) => [new RegExp(`^${prefix}_\\w{26}$`), prefix] as const,
  ),
]

/** The example, with what the caller has in the place of its ids. */
function withThings<T>(example: T, things: Caller['things']): T {
  return JSON.parse(JSON.stringify(example), (_key, member: unknown) => {
    if (typeof member !== 'string') return member
    const [, kind = ''] = forms.find(([form]) => form.test(member)) ?? []
    return things[kind] ?? member
  }) as T
}

/** The attack in a few words, for whoever has to look into it. */
export function describeAttack({ endpoint, caller, changes }: Attack): string {
  const told = changes.map((change) => JSON.stringify(change).slice(0, 300))
  return `${nameOf(endpoint)} by ${caller}: ${told.join(' and ')}`
}
