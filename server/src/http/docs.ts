import { createHash } from 'node:crypto'
import swaggerPlugin from '@fastify/swagger'
import swaggerUiPlugin from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import { matchesNoneMatch } from './conditional.ts'

/**
 * Serves the document at `/api/openapi.json`, as the same bytes to everybody, and a page to read
 * and try it at `/docs`; `/` leads there. Nothing on the page comes from another host.
 */
export async function mountDocs(app: FastifyInstance, document: object): Promise<void> {
  const bytes = Buffer.from(JSON.stringify(document))
  const tag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`
  app.get('/api/openapi.json', async (request, reply) => {
    reply.header('ETag', tag)
    if (matchesNoneMatch(request.headers['if-none-match'], tag)) return await reply.code(304).send()
    return await reply.type('application/json; charset=utf-8').send(bytes)
  })
  app.get('/', async (_request, reply) => await reply.redirect('/docs', 302))
  await app.register(swaggerPlugin, {
    mode: 'static',
    specification: { document: document as never },
  })
  await app.register(swaggerUiPlugin, {
    routePrefix: '/docs',
    staticCSP: pagePolicy,
    theme: { title: 'Bureau API' },
    uiConfig: {
      deepLinking: true,
      docExpansion: 'none',
      filter: true,
      displayRequestDuration: true,
      tryItOutEnabled: true,
      persistAuthorization: false,
    },
  })
}

/**
 * Scripts and styles of our own origin only, and calls to our own API only. The page's script adds
 * one sheet of its own, which is let in by its hash.
 */
const pagePolicy = {
  'default-src': ["'none'"],
  'script-src': ["'self'"],
  'style-src': ["'self'", "'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='"],
  'img-src': ["'self'", 'data:'],
  'font-src': ["'self'"],
  'connect-src': ["'self'"],
  'base-uri': ["'none'"],
  'form-action': ["'none'"],
  'frame-ancestors': ["'none'"],
}
