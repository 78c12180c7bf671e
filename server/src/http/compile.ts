import { Type, type TObject, type TSchema } from 'typebox'
import { defaultLimit, maxLimit } from './cursor.ts'
import { sendsFile } from './download.ts'
import type { AnyContract, Endpoint, ListContract } from './endpoint.ts'
import { createValidator } from './validation.ts'

/** An endpoint with everything that start-up can make once: validators and reply schemas. */
export interface ServedEndpoint {
  readonly endpoint: Endpoint
  readonly validate: {
    readonly params: (value: unknown) => void
    readonly query: (value: unknown) => void
    readonly body: ((value: unknown) => void) | undefined
  }
  /** By status, for the serialiser that lets only declared members through. */
  readonly replySchemas: Readonly<Record<string, TSchema>>
  /** Where the reply holds secrets, as paths of member names. */
  readonly secretPaths: readonly (readonly string[])[]
}

export function compileEndpoint(endpoint: Endpoint): ServedEndpoint {
  const { contract } = endpoint
  const params = contract.params ?? nothing
  return {
    endpoint,
    validate: {
      params: createValidator(params, 'params'),
      query: createValidator(querySchemaOf(contract), 'query'),
      // Without a schema there is no body: what is sent all the same is not dropped in silence.
      body: contract.rawBody ? undefined : createValidator(contract.body ?? nothing, 'body'),
    },
    replySchemas: sendsFile(contract)
      ? {}
      : Object.fromEntries(
          statusesOf(contract).map((status) => [String(status), replySchemaOf(contract)]),
        ),
    secretPaths: findSecrets(contract.reply),
  }
}

const nothing = Type.Object({}, { additionalProperties: false })

/** A reply member that is never stored: stripped from kept replies and rebuilt on replay. */
export function secret<S extends TSchema>(schema: S): S {
  return { ...schema, [secretMark]: true }
}

const secretMark = 'x-secret'

export function statusesOf(contract: AnyContract): readonly number[] {
  return [contract.status ?? 200, ...(contract.alsoStatus ?? [])]
}

/** A list's reply is its items with the cursor around them. */
export function replySchemaOf(contract: AnyContract): TSchema {
  if (!contract.list) return contract.reply
  return Type.Object({
    data: Type.Array(contract.reply),
    nextCursor: Type.Unsafe<string | null>({ type: ['string', 'null'] }),
    total: Type.Optional(Type.Integer()),
    totalIsMore: Type.Optional(Type.Boolean()),
  })
}

/** The filters an endpoint declares, and for a list the members that every list has. */
export function querySchemaOf({ query, list }: AnyContract): TObject {
  const filters = query?.properties ?? {}
  const members = list ? { ...listMembers(list), ...filters } : filters
  return Type.Object(members, { additionalProperties: false })
}

function listMembers({ sorts, defaultSort }: ListContract): Record<string, TSchema> {
  return {
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: maxLimit, description: `${defaultLimit} when absent` }),
    ),
    cursor: Type.Optional(
      Type.String({ maxLength: 2000, description: '`nextCursor` of the page before' }),
    ),
    sort: Type.Optional(
      Type.String({
        maxLength: 50,
        description: `${sorts.join(', ')}; with - descending; ${defaultSort} when absent`,
      }),
    ),
    count: Type.Optional(Type.Boolean({ description: 'adds `total`, counted to 10 000' })),
  }
}

function findSecrets(schema: TSchema, path: readonly string[] = []): (readonly string[])[] {
  if (secretMark in schema) return [path]
  const { properties } = schema as { properties?: Record<string, TSchema> }
  return Object.entries(properties ?? {}).flatMap(([name, member]) =>
    findSecrets(member, [...path, name]),
  )
}
