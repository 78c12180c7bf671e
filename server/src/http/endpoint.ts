import type { Static, TObject, TSchema } from 'typebox'
import type { ErrorKind } from '../kernel/errors.ts'
import type { Page, PageRequest } from '../kernel/page.ts'
import type { Permission } from '../kernel/permissions.ts'
import type { AppContext } from '../platform/context.ts'
import type { Upload } from '../platform/files.ts'
import type { LimitPolicyName } from '../platform/limits.ts'

export type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE'

/**
 * Who may call: anybody, or the holder of any of these grants. A customer sees only own things
 * (404 otherwise, in the use-case); a permission needs a staff token that has it; `order-token` is
 * the header `X-Order-Token`, `metrics-token` the bearer token that the operator gave a scraper,
 * `signed-link` a signature in the address, which the use-case verifies.
 */
export type Access = 'public' | readonly Grant[]
export type Grant =
  | Permission
  | 'customer'
  | 'staff'
  | 'order-token'
  | 'metrics-token'
  | 'signed-link'

/** What a list may be asked for, beside its filters. */
export interface ListContract {
  readonly sorts: readonly string[]
  /** `field` or `-field`. */
  readonly defaultSort: string
}

/** How a write answers when its Idempotency-Key comes again. */
export interface Idempotency<Body> {
  /** The reply rebuilt from the rows, after a crash between the fact and its answer. */
  resume(ctx: AppContext, resourceId: string, input: AnyInput): Promise<Body | Answer<Body>>
  /** The kept reply with its secrets put back: they are never stored with it. */
  restoreSecrets?(ctx: AppContext, reply: Body): Promise<Body>
}

/** One worked example: the documentation shows it and a test plays it. */
export interface Example {
  readonly params?: Readonly<Record<string, string>>
  readonly query?: Readonly<Record<string, string>>
  readonly body?: unknown
  readonly reply?: unknown
}

export interface Contract<
  P extends TObject,
  Q extends TObject,
  B extends TSchema,
  R extends TSchema,
> {
  /** A few words; the title in the documentation. */
  readonly summary: string
  /** What a caller should know beyond the shapes. */
  readonly description?: string
  readonly access: Access
  readonly params?: P
  readonly query?: Q
  readonly list?: ListContract
  readonly body?: B
  readonly reply: R
  /** Of the usual success; 200 when absent. */
  readonly status?: 200 | 201 | 202 | 204
  /** Media types beside JSON that a reply may have where the client prefers them. */
  readonly alsoProduces?: readonly string[]
  /** Other statuses of the same shape, such as 202. */
  readonly alsoStatus?: readonly number[]
  /** The expected failures of this endpoint, beside those that any can answer with. */
  readonly errors?: readonly ErrorKind[]
  /** A tighter limit by address; without one, 600 a minute by account or else by address. */
  readonly limit?: LimitPolicyName
  /**
   * What is sent to those without a token is kept in memory until the catalogue changes, and by
   * shared caches for a moment: it must show nothing but the catalogue. All else is `no-store`.
   */
  readonly cache?: 'public'
  /** Every POST and PATCH says how a repeated key is answered, or that it takes none. */
  readonly idempotency?: Idempotency<Static<R>> | 'none'
  /** The body as bytes, unparsed: a signature is computed over it. */
  readonly rawBody?: true
  /** The body is a form: its fields are `body`, and its one file is received before the call. */
  readonly upload?: UploadContract
  readonly example: Example
}

export interface UploadContract {
  /** Throws before a byte is read, where it is plain already that the file will not be kept. */
  admit(ctx: AppContext): Promise<void>
}

export interface Input<P, Q, B> {
  readonly params: P
  readonly query: Q
  readonly body: B
  /** For lists: limit, sort and position, the cursor verified. */
  readonly page: PageRequest
  /** The version in `If-Match`; null when the client does not care. */
  readonly ifMatch: number | null
  readonly http: HttpFacts
}

export type AnyInput = Input<
  Readonly<Record<string, string>>,
  Readonly<Record<string, unknown>>,
  unknown
>

/** The few things of HTTP itself that some endpoints need. */
export interface HttpFacts {
  readonly cookies: Readonly<Record<string, string | undefined>>
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly rawBody: Buffer | undefined
  /** The file of an endpoint that takes one: it is forgotten after the call, unless it was kept. */
  readonly upload: Upload | undefined
}

export interface Cookie {
  readonly name: string
  readonly value: string
  readonly path: string
  /** 0 deletes it. */
  readonly maxAgeSeconds: number
}

const answerMark = Symbol('answer')

/** A reply with more than its body. */
export interface Answer<Body> {
  readonly [answerMark]: true
  readonly body: Body
  readonly status: number | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly cookies: readonly Cookie[]
}

export function answer<Body>(
  body: Body,
  more: { status?: number; headers?: Record<string, string>; cookies?: readonly Cookie[] } = {},
): Answer<Body> {
  return {
    [answerMark]: true,
    body,
    status: more.status,
    headers: more.headers ?? {},
    cookies: more.cookies ?? [],
  }
}

/** A reply that is no JSON and is sent as it is; the contract names its type in `alsoProduces`. */
export function textAnswer(text: string, contentType: string): Answer<never> {
  return answer<never>(text as never, { headers: { 'Content-Type': contentType } })
}

export function isAnswer(value: unknown): value is Answer<unknown> {
  return typeof value === 'object' && value !== null && answerMark in value
}

/** A route as a value: from the table of them come mounting, access proof, OpenAPI and client. */
export interface Endpoint {
  readonly method: Method
  /** With `:name` parameters. */
  readonly path: string
  readonly contract: AnyContract
  handle(ctx: AppContext, input: AnyInput): Promise<unknown>
}

export type AnyContract = Omit<Contract<TObject, TObject, TSchema, TSchema>, 'idempotency'> & {
  readonly idempotency?: Idempotency<unknown> | 'none'
}

type StaticOr<S extends TSchema, Fallback> = TSchema extends S ? Fallback : Static<S>

/** What the one call gives: an item, or for a list a page of items. */
type Given<R extends TSchema, L> = L extends ListContract
  ? Page<Static<R>>
  : Static<R> | Answer<Static<R>>

/** Declares a route: its contract and the one call that serves it. */
export function endpoint<
  P extends TObject,
  Q extends TObject,
  B extends TSchema,
  R extends TSchema,
  L extends ListContract | undefined = undefined,
>(
  route: `${Method} /${string}`,
  contract: Contract<P, Q, B, R> & { readonly list?: L },
  handle: (
    ctx: AppContext,
    input: Input<Static<P>, Static<Q>, StaticOr<B, undefined>>,
  ) => Promise<Given<R, L>>,
): Endpoint {
  const [method, path] = route.split(' ') as [Method, string]
  return {
    method,
    path,
    contract: contract,
    // The schemas were checked before the handler is called: the cast says what they proved.
    handle: (ctx, input) =>
      handle(ctx, input as Input<Static<P>, Static<Q>, StaticOr<B, undefined>>),
  }
}
