import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import {
  createCache,
  type CacheFigures,
  type Invalidation,
  type InvalidationTopic,
} from '../platform/invalidation.ts'
import type { LimitPolicyName } from '../platform/limits.ts'
import type { FigureSource } from '../platform/metrics.ts'
import { matchesNoneMatch } from './conditional.ts'
import type { Endpoint } from './endpoint.ts'
import { sharedCacheControl } from './reply-headers.ts'
import { hasToken } from './request-headers.ts'

/** A reply to nobody in particular, as it goes on the wire. */
export interface PublicReply {
  readonly bytes: Buffer
  /** Strong, in its quotes. */
  readonly tag: string
  /** The path of its endpoint, with the names of its parameters. */
  readonly route: string
  /** What asking for it is counted by. */
  readonly policy: LimitPolicyName
}

/** Public replies by address: made once, and kept until something changes that they show. */
export interface ReplyCache {
  /** What is kept for an address with its query, if it may be sent without asking anybody. */
  find(url: string): PublicReply | undefined
  /** Sends what is kept, and says whether there was anything. */
  answer(request: FastifyRequest, reply: FastifyReply): boolean
  /** What is kept, or what `make` makes, once for all who ask at a time. */
  get(request: FastifyRequest, make: () => Promise<PublicReply>): Promise<PublicReply>
  figures(): CacheFigures
}

const maxBytes = 16 * 1024 * 1024
const maxEntries = 10_000

export function createReplyCache(invalidation: Invalidation, topic: InvalidationTopic): ReplyCache {
  const cache = createCache<PublicReply>(invalidation, {
    topic,
    maxEntries,
    maxBytes,
    sizeOf: ({ bytes }) => bytes.length,
    // A page shows many things: no change is told apart.
    noticeKeyOf: 'any',
  })
  const find: ReplyCache['find'] = (url) => cache.peek(keyOf(url))
  return {
    find,
    answer: (request, reply) => {
      const kept = find(request.url)
      if (!kept) return false
      request.servedFromCache = true
      sendPublicReply(kept, request, reply)
      return true
    },
    get: (request, make) => cache.get(keyOf(request.url), make),
    figures: cache.figures,
  }
}

/** What it costs and how often it had nothing; how often it had is counted with the requests. */
export function figuresOfReplies(replies: ReplyCache): FigureSource {
  const names = {
    misses: 'bureau_reply_cache_misses_total',
    entries: 'bureau_reply_cache_entries',
    bytes: 'bureau_reply_cache_bytes',
  } as const
  return {
    name: 'reply-cache',
    figures: [
      { name: names.misses, help: 'Public replies that had to be made', type: 'counter' },
      { name: names.entries, help: 'Public replies kept in memory', type: 'gauge' },
      { name: names.bytes, help: 'Memory that kept replies take', type: 'gauge' },
    ],
    read: async () => {
      const { misses, entries, bytes } = replies.figures()
      return [
        { figure: names.misses, value: misses },
        { figure: names.entries, value: entries },
        { figure: names.bytes, value: bytes },
      ]
    },
  }
}

/** Whoever sends a token gets a reply of their own. */
export function isForAnybody({ headers }: FastifyRequest): boolean {
  return !hasToken(headers)
}

/** `tag` where the reply has one already, such as that of a version. */
export function toPublicReply(
  { path, contract }: Endpoint,
  { text, tag }: { text: string; tag: string | undefined },
): PublicReply {
  const bytes = Buffer.from(text)
  const hash = (): string => `"${createHash('sha256').update(bytes).digest('base64url')}"`
  return { bytes, tag: tag ?? hash(), route: path, policy: contract.limit ?? 'default' }
}

export function sendPublicReply(
  { bytes, tag }: PublicReply,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  reply.header('ETag', tag)
  allowSharedCaches(request, reply)
  if (matchesNoneMatch(request.headers['if-none-match'], tag)) reply.code(304).send()
  else reply.code(200).type('application/json; charset=utf-8').send(bytes)
}

/** Only to those who came without any token: a shared cache must never hold a personal view. */
export function allowSharedCaches(request: FastifyRequest, reply: FastifyReply): void {
  // Beside `Origin`, which stands there already: the CORS headers differ by it.
  const before = reply.getHeader('Vary')
  reply.header('Vary', before === undefined ? 'Authorization' : `${String(before)}, Authorization`)
  if (isForAnybody(request)) reply.header('Cache-Control', sharedCacheControl)
}

/**
 * The address with its parameters in order: none comes twice, or it had been refused. Only what was
 * answered once has an entry, so that odd spellings find nothing and are made anew. After a `#`,
 * which no browser sends, parameters begin without a `?`: such an address stays as it is.
 */
function keyOf(url: string): string {
  const start = url.indexOf('?')
  if (start < 0 || !url.includes('&', start) || url.includes('#')) return url
  const parameters = url.slice(start + 1).split('&')
  return `${url.slice(0, start)}?${parameters.toSorted().join('&')}`
}
