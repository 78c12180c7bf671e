import { isDeepStrictEqual } from 'node:util'
import type { ErrorKind } from '../kernel/errors.ts'

/** The shared parts of the document: each is written once and named from where it is used. */
export interface Components {
  /** The schema as plain JSON, with a reference for each part that has a title. */
  schema(schema: object): object
  parameter(name: keyof typeof parameters): object
  headers(names: readonly (keyof typeof headers)[]): object
  /** The same name, now declared. */
  securityScheme<Name extends keyof typeof securitySchemes>(name: Name): Name
  /** The reply of one failing status, named by the codes that it can carry. */
  failure(status: number, kinds: readonly ErrorKind[]): object
  /** All that was used, for the document's `components`. */
  written(): object
}

export function createComponents(): Components {
  const used = {
    schemas: new Map<string, unknown>([['Problem', problemSchema]]),
    parameters: new Map<string, unknown>(),
    headers: new Map<string, unknown>(),
    securitySchemes: new Map<string, unknown>(),
    responses: new Map<string, unknown>(),
    examples: new Map<string, unknown>(),
  }
  const refer = (kind: keyof typeof used, name: string, value: unknown): { $ref: string } => {
    const known = used[kind].get(name)
    if (known !== undefined && !isDeepStrictEqual(known, value)) {
      throw new Error(`Two different ${kind} of the API are named ${name}`)
    }
    used[kind].set(name, value)
    return { $ref: `#/components/${kind}/${name}` }
  }
  const referSchema = (title: string, schema: object): object => refer('schemas', title, schema)
  const headersNamed: Components['headers'] = (names) =>
    Object.fromEntries(names.map((name) => [name, refer('headers', name, headers[name])]))
  return {
    schema: (schema) => writeSchema(schema, referSchema) as object,
    parameter: (name) => refer('parameters', name, parameters[name]),
    headers: headersNamed,
    securityScheme: (name) => {
      refer('securitySchemes', name, securitySchemes[name])
      return name
    },
    failure: (status, kinds) =>
      refer('responses', kinds.map(({ code }) => code).join('.'), {
        description: kinds.map(({ code, title }) => `\`${code}\`: ${title}`).join('\n\n'),
        headers: headersNamed(failureHeaders[status] ?? ['X-Request-Id']),
        content: {
          'application/problem+json': {
            schema: { $ref: '#/components/schemas/Problem' },
            examples: Object.fromEntries(
              kinds.map((kind) => [kind.code, refer('examples', kind.code, exampleOf(kind))]),
            ),
          },
        },
      }),
    written: () =>
      Object.fromEntries(
        Object.entries(used).map(([kind, parts]) => [
          kind,
          Object.fromEntries([...parts].toSorted(([a], [b]) => (a < b ? -1 : 1))),
        ]),
      ),
  }
}

type Refer = (title: string, schema: object) => object

/** Plain JSON of a schema: without our own marks, with titled parts by reference. */
function writeSchema(value: unknown, refer: Refer): unknown {
  if (Array.isArray(value)) return value.map((item) => writeSchema(item, refer))
  if (typeof value !== 'object' || value === null) return value
  const schema = value as Readonly<Record<string, unknown>>
  const { title, type } = schema
  if (typeof title !== 'string' || !('type' in schema)) return writeMembers(schema, refer)
  // `nullable` keeps the title of what it wraps, but it is another schema than that.
  if (Array.isArray(type) && type.includes('null')) {
    const only = { ...schema, type: type.find((one) => one !== 'null') as unknown }
    return { oneOf: [writeSchema(only, refer), { type: 'null' }] }
  }
  return refer(title, writeMembers(schema, refer))
}

function writeMembers(schema: Readonly<Record<string, unknown>>, refer: Refer): object {
  return Object.fromEntries(
    Object.entries(schema)
      .filter(([key]) => key !== 'x-secret' && key !== '$id')
      .map(([key, member]) => [key, isLiteral(key) ? member : writeSchema(member, refer)]),
  )
}

/** These hold values, not schemas. */
function isLiteral(key: string): boolean {
  return ['default', 'enum', 'const', 'example', 'examples', 'required'].includes(key)
}

const problemSchema = {
  type: 'object',
  description: 'What went wrong (RFC 9457). `code` is stable, `detail` is for people.',
  required: ['type', 'title', 'status', 'detail', 'instance', 'code', 'requestId'],
  properties: {
    type: { type: 'string', description: '`urn:bureau:problem:` and the code' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
    instance: { type: 'string', description: 'the path that was asked' },
    code: { type: 'string' },
    requestId: { type: 'string' },
    errors: {
      type: 'array',
      maxItems: 20,
      items: {
        type: 'object',
        required: ['pointer', 'code', 'message'],
        properties: {
          pointer: { type: 'string', description: 'a JSON Pointer into the body, or `/query/…`' },
          code: { type: 'string' },
          message: { type: 'string' },
        },
      },
    },
  },
  additionalProperties: true,
}

function exampleOf({ status, code, title }: ErrorKind): object {
  return {
    summary: title,
    value: {
      type: `urn:bureau:problem:${code}`,
      title,
      status,
      detail: title,
      instance: '/api/orders',
      code,
      requestId: 'req_01jd8q9yg8e5v9c0m4t7k2x3za',
    },
  }
}

const parameters = {
  idempotencyKey: {
    name: 'Idempotency-Key',
    in: 'header',
    required: false,
    description:
      'Any text of your own choice, one for each thing to be done: the request may then be ' +
      'repeated and is done once. At least 20 characters without a token. Kept for 24 hours.',
    schema: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[!-~]+$' },
    example: '6f1c2f5e-0e0b-4a55-9a7e-6a1f3a4c9d10',
  },
  ifMatch: {
    name: 'If-Match',
    in: 'header',
    required: false,
    description: 'The `ETag` you have: 412 when the resource has changed since.',
    schema: { type: 'string' },
    example: '"3-staff"',
  },
  ifNoneMatch: {
    name: 'If-None-Match',
    in: 'header',
    required: false,
    description: 'The `ETag` you have: 304 when it is still the newest.',
    schema: { type: 'string' },
    example: '"3-staff"',
  },
  range: {
    name: 'Range',
    in: 'header',
    required: false,
    description: 'One range of bytes; several at once are answered with the whole.',
    schema: { type: 'string' },
    example: 'bytes=0-1023',
  },
  ifRange: {
    name: 'If-Range',
    in: 'header',
    required: false,
    description: 'The `ETag` of what you have a part of: the whole when it is another file.',
    schema: { type: 'string' },
    example: '"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"',
  },
} as const

const headers = {
  ETag: {
    description: 'The version and the view of it that was sent.',
    schema: { type: 'string' },
    example: '"3-staff"',
  },
  Location: { description: 'Where the new resource is.', schema: { type: 'string' } },
  'RateLimit-Policy': {
    description: 'How many requests in how many seconds.',
    schema: { type: 'string' },
    example: '"default";q=600;w=60',
  },
  RateLimit: {
    description: 'How many requests are left, and for how many seconds.',
    schema: { type: 'string' },
    example: '"default";r=599;t=60',
  },
  'Retry-After': {
    description: 'In how many seconds to try again.',
    schema: { type: 'integer' },
    example: 1,
  },
  'X-Request-Id': {
    description: 'Yours, or one that was made: it stands in the log.',
    schema: { type: 'string' },
    example: 'req_01jd8q9yg8e5v9c0m4t7k2x3za',
  },
  'Idempotent-Replayed': {
    description: '`true` where the reply is the kept one of an earlier request.',
    schema: { type: 'string', enum: ['true'] },
  },
  'Content-Disposition': {
    description: '`attachment`, with the name of the file (RFC 6266, RFC 8187).',
    schema: { type: 'string' },
    example: 'attachment; filename="passport.pdf"',
  },
  'Accept-Ranges': { description: 'Parts can be asked for.', schema: { type: 'string' } },
  'Content-Range': {
    description: 'Which part of how much this is.',
    schema: { type: 'string' },
    example: 'bytes 0-1023/4096',
  },
  'WWW-Authenticate': {
    description: 'How to authenticate.',
    schema: { type: 'string' },
    example: 'Bearer',
  },
} as const

const failureHeaders: Readonly<Record<number, readonly (keyof typeof headers)[]>> = {
  401: ['WWW-Authenticate', 'X-Request-Id'],
  409: ['Retry-After', 'X-Request-Id'],
  429: ['Retry-After', 'RateLimit-Policy', 'RateLimit', 'X-Request-Id'],
  503: ['Retry-After', 'X-Request-Id'],
}

const securitySchemes = {
  customer: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: "A customer's access token, from login or register.",
  },
  staff: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: "A staff member's access token, from the staff login.",
  },
  orderToken: {
    type: 'apiKey',
    in: 'header',
    name: 'X-Order-Token',
    description: 'What a guest got at checkout: it opens that one order.',
  },
  stripeSignature: {
    type: 'apiKey',
    in: 'header',
    name: 'Stripe-Signature',
    description: "Stripe's signature over the bytes of the body.",
  },
  signedLink: {
    type: 'apiKey',
    in: 'query',
    name: 'signature',
    description: 'A link that somebody who may read the document has made.',
  },
  metricsToken: {
    type: 'http',
    scheme: 'bearer',
    description: 'The token for scrapers, from METRICS_TOKEN.',
  },
} as const
