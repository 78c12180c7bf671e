import type { TSchema } from 'typebox'
import * as known from '../kernel/errors.ts'
import type { ErrorKind } from '../kernel/errors.ts'
import { present } from '../kernel/assert.ts'
import { querySchemaOf, replySchemaOf, statusesOf } from './compile.ts'
import { sendsFile } from './download.ts'
import type { Access, Endpoint } from './endpoint.ts'
import type { Module } from './module.ts'
import { fileField } from './multipart.ts'
import { createComponents, type Components } from './openapi-components.ts'
import { operationIdOf } from './operation-id.ts'

export interface ApiInfo {
  readonly version: string
}

/** The OpenAPI 3.1 document of the table of endpoints: equal tables make equal documents. */
export function describeApi(modules: readonly Module[], info: ApiInfo): object {
  const components = createComponents()
  const paths: Record<string, Record<string, object>> = {}
  for (const { name, endpoints } of modules) {
    for (const endpoint of endpoints) {
      const path = endpoint.path.replaceAll(/:(\w+)/g, '{$1}')
      const operation = describeOperation(endpoint, name, components)
      paths[path] = { ...paths[path], [endpoint.method.toLowerCase()]: operation }
    }
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'Bureau',
      version: info.version,
      summary: 'The back office for businesses that sell services',
      description: introduction,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/', description: 'The host that this document came from.' }],
    tags: modules
      .filter(({ endpoints }) => endpoints.length > 0)
      .map(({ name }) => ({
        name,
        description: tagDescriptions[name] ?? `Everything of ${name}.`,
      })),
    paths,
    components: components.written(),
  }
}

const introduction = [
  'JSON in UTF-8 with camelCase members. Unknown members and parameters are refused.',
  'Failures are problem documents (RFC 9457) with a stable `code`.',
  'Lists take `limit`, `cursor` and `sort`.',
  'Writes take an `Idempotency-Key`, so that a request can be repeated without harm.',
].join('\n')

const tagDescriptions: Readonly<Record<string, string>> = {
  identity: 'Logins, sessions, customers and staff.',
  catalog: 'Services and their categories.',
  orders: 'What was bought, from placed to completed.',
  payments: 'Money that came and went.',
  checkout: 'From a basket to a paid order.',
  crm: 'Leads and cases: what is asked and what is being done.',
  documents: 'Files of orders and cases.',
  notifications: 'Mails that were sent.',
  system: 'Health, figures and the audit trail.',
}

function describeOperation(endpoint: Endpoint, tag: string, components: Components): object {
  const { contract, method } = endpoint
  const body = describeBody(endpoint, components)
  return {
    operationId: operationIdOf(endpoint),
    tags: [tag],
    summary: contract.summary,
    description: [contract.description, sayAccess(endpoint)].filter(Boolean).join('\n\n'),
    security: describeSecurity(endpoint, components),
    parameters: [
      ...describeParameters(endpoint, components),
      ...headersOf(endpoint).map((name) => components.parameter(name)),
    ],
    ...(body && method !== 'GET' ? { requestBody: body } : {}),
    responses: {
      ...describeSuccess(endpoint, components),
      ...describeFailures(endpoint, components),
    },
  }
}

/** These are proved by something else than an access token. */
const ownProofs: Readonly<Record<string, 'stripeSignature' | 'metricsToken'>> = {
  '/api/webhook/stripe': 'stripeSignature',
  '/api/system/metrics': 'metricsToken',
}

function sayAccess({ path, contract: { access } }: Endpoint): string {
  if (ownProofs[path] === 'stripeSignature') return 'Access: Stripe, by its signature.'
  if (access === 'public') return 'Access: public. A token that is sent must be good.'
  const grants = access.map((grant) => grantSentences[grant] ?? `staff with \`${grant}\``)
  return `Access: ${grants.join(', or ')}.`
}

const grantSentences: Readonly<Record<string, string>> = {
  customer: 'a customer, own things only',
  staff: 'any staff login',
  'order-token': "the holder of the order's token, for that order",
  'metrics-token': 'the holder of `METRICS_TOKEN`',
  'signed-link': 'whoever has a signed link to it',
}

function describeSecurity({ path, contract }: Endpoint, components: Components): object[] {
  const own = ownProofs[path]
  const ofAccess = own === 'stripeSignature' ? [] : schemesOf(contract.access)
  const schemes = own === undefined ? ofAccess : [...ofAccess, own]
  const named = schemes.map((scheme) => ({ [components.securityScheme(scheme)]: [] }))
  return contract.access === 'public' && own === undefined ? [{}, ...named] : named
}

function schemesOf(access: Access): ('customer' | 'staff' | 'orderToken' | 'signedLink')[] {
  if (access === 'public') return ['customer', 'staff']
  const isStaff = access.some((grant) => !/^customer$|-token$|-link$/.test(grant))
  return [
    ...(access.includes('signed-link') ? (['signedLink'] as const) : []),
    ...(access.includes('customer') ? (['customer'] as const) : []),
    ...(isStaff ? (['staff'] as const) : []),
    ...(access.includes('order-token') ? (['orderToken'] as const) : []),
  ]
}

function describeParameters({ contract }: Endpoint, components: Components): object[] {
  const { params, example } = contract
  const inPath = Object.entries(params?.properties ?? {}).map(([name, schema]) => ({
    name,
    in: 'path',
    required: true,
    ...describeMember(schema, components),
    ...exampleOf(example.params, name),
  }))
  const query = querySchemaOf(contract)
  const inQuery = Object.entries(query.properties).map(([name, schema]) => ({
    name,
    in: 'query',
    required: query.required?.includes(name) ?? false,
    ...describeMember(schema, components),
    ...exampleOf(readNumbers(example.query), name),
  }))
  return [...inPath, ...inQuery]
}

/** The description stands on the parameter, where documentation pages show it. */
function describeMember(schema: TSchema, components: Components): object {
  const { description, ...rest } = schema as { description?: string }
  return {
    ...(description === undefined ? {} : { description }),
    schema: components.schema(description === undefined ? schema : rest),
  }
}

function exampleOf(examples: Readonly<Record<string, unknown>> | undefined, name: string): object {
  return examples && name in examples ? { example: examples[name] } : {}
}

/** An example of a query is written as text; where it is a number or flag, it is shown as one. */
function readNumbers(query: Readonly<Record<string, string>> | undefined): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(query ?? {}).map(([name, text]) => [
      name,
      /^(\d+|true|false)$/.test(text) ? (JSON.parse(text) as unknown) : text,
    ]),
  )
}

function headersOf({
  method,
  contract,
}: Endpoint): ('idempotencyKey' | 'ifMatch' | 'ifNoneMatch' | 'range' | 'ifRange')[] {
  const { idempotency } = contract
  return [
    ...(idempotency !== undefined && idempotency !== 'none' ? (['idempotencyKey'] as const) : []),
    ...(method === 'PATCH' || method === 'DELETE' ? (['ifMatch'] as const) : []),
    ...(method === 'GET' && !contract.list && hasVersion(contract.reply)
      ? (['ifNoneMatch'] as const)
      : []),
    ...(sendsFile(contract) ? (['ifNoneMatch', 'range', 'ifRange'] as const) : []),
  ]
}

function hasVersion(schema: TSchema): boolean {
  const { properties } = schema as { properties?: object }
  return properties !== undefined && 'version' in properties
}

function describeBody({ method, contract }: Endpoint, components: Components): object | undefined {
  if (contract.rawBody) {
    const schema = { type: 'object', additionalProperties: true }
    return { required: true, content: { 'application/json': { schema, example: {} } } }
  }
  if (!contract.body) return undefined
  if (contract.upload) return describeForm(contract.body, components)
  const content = {
    schema: components.schema(contract.body),
    ...('body' in contract.example ? { example: contract.example.body } : {}),
  }
  const types =
    method === 'PATCH' ? ['application/merge-patch+json', 'application/json'] : ['application/json']
  const required = requiredMembers(contract.body) > 0
  return { required, content: Object.fromEntries(types.map((type) => [type, content])) }
}

/** The fields of a form and its one file. */
function describeForm(fields: TSchema, components: Components): object {
  const { properties, required = [] } = fields as { properties?: object; required?: string[] }
  const schema = components.schema({
    type: 'object',
    properties: { ...properties, [fileField]: { type: 'string', format: 'binary' } },
    required: [...required, fileField],
    additionalProperties: false,
  })
  return { required: true, content: { 'multipart/form-data': { schema } } }
}

function requiredMembers(schema: TSchema): number {
  return (schema as { required?: readonly string[] }).required?.length ?? 0
}

const successTexts: Readonly<Record<number, string>> = {
  200: 'As asked.',
  201: 'Made.',
  202: 'Accepted; the outcome comes later.',
  204: 'Done; there is nothing to say.',
  503: 'It has failed; ask again later.',
}

function describeSuccess(endpoint: Endpoint, components: Components): Record<string, object> {
  const { contract, method } = endpoint
  if (sendsFile(contract)) return describeFile(contract.reply, components)
  const [usual] = statusesOf(contract)
  const replies = Object.fromEntries(
    statusesOf(contract).map((status) => [
      String(status),
      {
        description: successTexts[status] ?? 'As asked.',
        headers: components.headers([
          ...headersOfEveryReply,
          ...(!contract.list && hasVersion(contract.reply) ? ['ETag' as const] : []),
          ...(status === 201 ? ['Location' as const] : []),
          ...(status === 202 ? ['Retry-After' as const] : []),
          ...(headersOf(endpoint).includes('idempotencyKey')
            ? ['Idempotent-Replayed' as const]
            : []),
        ]),
        ...(status === 204
          ? {}
          : {
              content: {
                'application/json': {
                  schema: components.schema(replySchemaOf(contract)),
                  ...(status === usual ? describeReplyExample(endpoint) : {}),
                },
                ...describeTexts(contract.alsoProduces),
              },
            }),
      },
    ]),
  )
  if (method !== 'GET' || contract.list || !hasVersion(contract.reply)) return replies
  const headers = components.headers(['ETag', 'X-Request-Id'])
  return { ...replies, 304: { description: 'You have the newest version.', headers } }
}

/** A file comes whole, in part or, where the client has it already, not at all. */
function describeFile(schema: TSchema, components: Components): Record<string, object> {
  const content = { 'application/octet-stream': { schema: components.schema(schema) } }
  const about = ['ETag', 'Content-Disposition', 'Accept-Ranges'] as const
  const whole = components.headers([...headersOfEveryReply, ...about])
  const part = components.headers([...headersOfEveryReply, ...about, 'Content-Range'])
  return {
    200: { description: 'The file, with its own media type.', headers: whole, content },
    206: { description: 'The part that `Range` asked for.', headers: part, content },
    304: { description: 'You have it.', headers: components.headers(['ETag', 'X-Request-Id']) },
  }
}

function describeTexts(types: readonly string[] = []): Record<string, object> {
  return Object.fromEntries(types.map((type) => [type, { schema: { type: 'string' } }]))
}

const headersOfEveryReply = ['RateLimit-Policy', 'RateLimit', 'X-Request-Id'] as const

/** The example of a list is one item, or the whole page with `data` and `nextCursor`. */
export function replyExampleOf({ contract }: Endpoint): unknown {
  const { reply } = contract.example
  const isItem = typeof reply === 'object' && reply !== null && !('nextCursor' in reply)
  return contract.list && isItem ? { data: [reply], nextCursor: null } : reply
}

function describeReplyExample(endpoint: Endpoint): object {
  const example = replyExampleOf(endpoint)
  return example === undefined ? {} : { example }
}

/** What an endpoint can answer with beside its own declared failures. */
export function genericErrorsOf(endpoint: Endpoint): ErrorKind[] {
  const { method, contract } = endpoint
  const readsBody = contract.body !== undefined || contract.rawBody === true
  const isKeyed = headersOf(endpoint).includes('idempotencyKey')
  const isPublic = contract.access === 'public'
  const candidates: [boolean, ErrorKind][] = [
    [true, known.invalidInput],
    [readsBody, known.malformedRequest],
    [contract.list !== undefined, known.invalidCursor],
    [isKeyed, known.idempotencyKeyInvalid],
    [isKeyed && isPublic, known.idempotencyKeyWeak],
    [true, known.unauthorized],
    [!isPublic, known.forbidden],
    [contract.params !== undefined, known.notFound],
    [!sendsFile(contract), known.notAcceptable],
    [readsBody, known.requestTimeout],
    [isKeyed, known.idempotencyInProgress],
    [method === 'PATCH' || method === 'DELETE', known.preconditionFailed],
    [readsBody, known.payloadTooLarge],
    [readsBody, known.unsupportedMediaType],
    [sendsFile(contract), known.rangeNotSatisfiable],
    [isKeyed, known.idempotencyKeyReused],
    [true, known.rateLimited],
    [true, known.internalError],
    // An endpoint that reports failure in its own shape says 503 in that shape.
    [!statusesOf(contract).includes(503), known.unavailable],
    [contract.upload !== undefined, known.storageFull],
  ]
  return candidates.filter(([applies]) => applies).map(([, kind]) => kind)
}

function describeFailures(endpoint: Endpoint, components: Components): Record<string, object> {
  const byStatus = new Map<number, Map<string, ErrorKind>>()
  for (const kind of [...(endpoint.contract.errors ?? []), ...genericErrorsOf(endpoint)]) {
    const kinds = byStatus.get(kind.status) ?? new Map<string, ErrorKind>()
    byStatus.set(kind.status, kinds.set(kind.code, kind))
  }
  const statuses = [...byStatus.keys()].toSorted((a, b) => a - b)
  return Object.fromEntries(
    statuses.map((status) => [
      String(status),
      components.failure(status, [...present(byStatus.get(status), 'kinds').values()]),
    ]),
  )
}
