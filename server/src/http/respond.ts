import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Page } from '../kernel/page.ts'
import type { AppContext } from '../platform/context.ts'
import type { ServedFile } from '../platform/files.ts'
import type { ServedEndpoint } from './compile.ts'
import { entityTagOf, matchesNoneMatch, readIfMatch } from './conditional.ts'
import { readPage, writePage } from './cursor.ts'
import { sendFile, sendsFile } from './download.ts'
import { isAnswer, type AnyInput, type Answer, type Cookie } from './endpoint.ts'
import {
  claimKey,
  keepReply,
  readIdempotencyKey,
  releaseKey,
  type Claim,
  type KeptReply,
} from './idempotency.ts'
import {
  allowSharedCaches,
  isForAnybody,
  sendPublicReply,
  toPublicReply,
  type ReplyCache,
} from './reply-cache.ts'

export interface RespondOptions {
  readonly replies: ReplyCache
  readonly secureCookies: boolean
}

interface Exchange {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly options: RespondOptions
}

/** One request from its validated input to what goes on the wire. */
export async function respond(
  served: ServedEndpoint,
  ctx: AppContext,
  { request, reply, options }: Exchange,
): Promise<unknown> {
  const isPublic = served.endpoint.contract.cache === 'public'
  if (isPublic && isForAnybody(request)) {
    return await respondToAnybody(served, ctx, { request, reply, options })
  }
  const outcome = await produce(served, ctx, { request, reply })
  for (const cookie of outcome.cookies) setCookie(reply, cookie, options)
  reply.headers({ ...outcome.headers })
  if (isPublic) allowSharedCaches(request, reply)
  if (sendsFile(served.endpoint.contract)) {
    return await sendFile({ request, reply }, outcome.body as ServedFile)
  }
  const tag = outcome.headers['ETag']
  if (tag && request.method === 'GET') {
    if (matchesNoneMatch(request.headers['if-none-match'], tag)) return await reply.code(304).send()
  }
  reply.code(outcome.status)
  return outcome.status === 204 ? await reply.send() : outcome.body
}

/** Everybody without a token gets the same bytes: they are made once for all who ask meanwhile. */
async function respondToAnybody(
  served: ServedEndpoint,
  ctx: AppContext,
  { request, reply, options }: Exchange,
): Promise<FastifyReply> {
  const made = await options.replies.get(request, async () => {
    const { body, headers } = await produce(served, ctx, { request, reply })
    const serialize = reply.getSerializationFunction('200') ?? JSON.stringify
    return toPublicReply(served.endpoint, { text: serialize(body), tag: headers['ETag'] })
  })
  // The deadline may have answered before.
  if (!reply.sent) sendPublicReply(made, request, reply)
  return await reply
}

/** What the endpoint answers to the request, its input validated; nothing is written yet. */
async function produce(
  served: ServedEndpoint,
  ctx: AppContext,
  { request, reply }: Pick<Exchange, 'request' | 'reply'>,
): Promise<Outcome> {
  const input = readInput(served, ctx, request)
  return await runOnce(served, ctx, { input, request, reply })
}

/** What the endpoint answered, before it is written. */
interface Outcome extends KeptReply {
  readonly cookies: readonly Cookie[]
}

interface Work {
  readonly input: AnyInput
  readonly request: FastifyRequest
  readonly reply: FastifyReply
}

function readInput(
  { endpoint, validate }: ServedEndpoint,
  ctx: AppContext,
  request: FastifyRequest,
): AnyInput {
  const params = request.params as Record<string, string>
  const query = request.query as Record<string, unknown>
  validate.params(params)
  validate.query(query)
  // A missing body is an empty one, so that the reply names the members it lacks.
  const body = endpoint.contract.rawBody ? undefined : (request.body ?? emptyBody(validate.body))
  validate.body?.(body)
  const { list } = endpoint.contract
  const conditional = request.method === 'PATCH' || request.method === 'DELETE'
  return {
    params,
    query,
    body,
    page: list
      ? readPage(ctx.secrets, list, { route: endpoint.path, query })
      : { limit: 0, sort: { field: '', direction: 'asc' }, after: null, count: false },
    ifMatch: conditional ? readIfMatch(request.headers['if-match']) : null,
    http: {
      cookies: request.cookies,
      headers: request.headers,
      rawBody: endpoint.contract.rawBody ? (request.body as Buffer | undefined) : undefined,
      upload: request.upload,
    },
  }
}

function emptyBody(validate: unknown): object | undefined {
  return validate === undefined ? undefined : {}
}

/** Runs the endpoint, at most once for each Idempotency-Key. */
async function runOnce(
  served: ServedEndpoint,
  ctx: AppContext,
  { input, request, reply }: Work,
): Promise<Outcome> {
  const { endpoint } = served
  const { idempotency } = endpoint.contract
  const header = request.headers['idempotency-key']
  const key =
    idempotency === undefined || idempotency === 'none'
      ? undefined
      : readIdempotencyKey(Array.isArray(header) ? header.join() : header, ctx.actor)
  if (key === undefined || idempotency === undefined || idempotency === 'none') {
    return toOutcome(served, ctx, { input, result: await endpoint.handle(ctx, input) })
  }
  const { method } = request
  const path = request.url.split('?')[0] ?? request.url
  const body = identityOfBody(request)
  const claim = await claimKey(ctx, { key, actor: ctx.actor, method, path, body })
  if (claim.outcome === 'replay') {
    reply.header('Idempotent-Replayed', 'true')
    const restore = idempotency.restoreSecrets
    const body = restore ? await restore(ctx, claim.reply.body) : claim.reply.body
    return { ...claim.reply, body, cookies: [] }
  }
  return await runClaimed(served, ctx, { input, claim })
}

/** What makes two bodies the same: of a file its name, its type and its digest. */
function identityOfBody({ body, upload }: FastifyRequest): unknown {
  if (!upload) return body
  const { filename, declaredType, file } = upload
  return { fields: body, file: { filename, declaredType, sha256: file.sha256 } }
}

async function runClaimed(
  served: ServedEndpoint,
  ctx: AppContext,
  { input, claim }: { input: AnyInput; claim: Exclude<Claim, { outcome: 'replay' }> },
): Promise<Outcome> {
  const { endpoint, secretPaths } = served
  const { idempotency } = endpoint.contract
  const leased: AppContext = { ...ctx, origin: { ...ctx.origin, lease: claim.lease } }
  try {
    const result =
      claim.outcome === 'resume' && idempotency !== undefined && idempotency !== 'none'
        ? await idempotency.resume(leased, claim.resourceId, input)
        : await endpoint.handle(leased, input)
    const outcome = toOutcome(served, ctx, { input, result })
    const { status, headers, body } = outcome
    // "Ask again" is no final answer: the next request with this key looks anew.
    if (headers['Retry-After'] === undefined) {
      await keepReply(ctx.db, claim.lease, { status, headers, body: without(body, secretPaths) })
    } else await releaseKey(ctx.db, claim.lease, ctx.now)
    return outcome
  } catch (error) {
    await releaseKey(ctx.db, claim.lease, ctx.now).catch((failure: unknown) => {
      // The lease ends by itself; the request's own failure is what the client must hear.
      ctx.log.warn({ err: failure }, 'idempotency key not released')
    })
    throw error
  }
}

function toOutcome(
  { endpoint }: ServedEndpoint,
  ctx: AppContext,
  { input, result }: { input: AnyInput; result: unknown },
): Outcome {
  const { contract } = endpoint
  const said: Partial<Answer<unknown>> = isAnswer(result) ? result : { body: result }
  const body = contract.list
    ? writePage(ctx.secrets, said.body as Page<unknown>, {
        route: endpoint.path,
        request: input.page,
        query: input.query,
      })
    : said.body
  const tag = entityTagOf(body, ctx.actor)
  return {
    status: said.status ?? contract.status ?? 200,
    headers: { ...(tag === undefined ? {} : { ETag: tag }), ...said.headers },
    cookies: said.cookies ?? [],
    body,
  }
}

/** The reply without its secrets: what may be stored. */
function without(body: unknown, paths: readonly (readonly string[])[]): unknown {
  return paths.reduce((rest, path) => withoutPath(rest, path), body)
}

function withoutPath(body: unknown, [name, ...rest]: readonly string[]): unknown {
  if (typeof body !== 'object' || body === null || name === undefined) return body
  const { [name]: member, ...others } = body as Record<string, unknown>
  return rest.length === 0 ? others : { ...others, [name]: withoutPath(member, rest) }
}

function setCookie(reply: FastifyReply, cookie: Cookie, { secureCookies }: RespondOptions): void {
  reply.setCookie(cookie.name, cookie.value, {
    path: cookie.path,
    maxAge: cookie.maxAgeSeconds,
    httpOnly: true,
    sameSite: 'strict',
    secure: secureCookies,
  })
}
