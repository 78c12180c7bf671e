// One of the controls that Bureau is measured beside, as a process of its own: told by its first
// argument what to answer with, and over which port or how often by its first message.
import { verify, hash } from '@node-rs/argon2'
import fastify from 'fastify'
import { createServer } from 'node:http'
import pg from 'pg'

const { kind, bytes, statements = [], connection, poolSize } = JSON.parse(process.argv[2])
const body = Buffer.from(bytes ?? '')
const headers = { 'content-type': 'application/json; charset=utf-8' }

const kinds = {
  /** The least that Node can do. */
  raw: async () => {
    const server = createServer((request, response) => {
      response.writeHead(200, { ...headers, 'content-length': body.length })
      response.end(body)
    })
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
    return { port: server.address().port }
  },
  /** The web framework that Bureau uses, with the same bytes. */
  fastify: () => serve((request, reply) => reply.headers(headers).send(body)),
  /** With the driver that Bureau uses, and the statements that Bureau sent. */
  pg: () => {
    const pool = openPool()
    return serve(async (request, reply) => {
      const rows = await runAll(pool)
      return reply.headers(headers).send(JSON.stringify(rows))
    })
  },
  /** The same statements without any web server. */
  bare: () => {
    const pool = openPool()
    return { work: () => runAll(pool) }
  },
  /** A password compared with its hash, as a login does it. */
  hash: async () => {
    const options = { algorithm: 2, memoryCost: 19 * 1024, timeCost: 2, parallelism: 1 }
    const stored = await hash('seven quiet otters', options)
    return { work: () => verify(stored, 'seven quiet otters') }
  },
}

function openPool() {
  return new pg.Pool({ ...connection, max: poolSize, pipeline: true })
}

async function serve(handler) {
  const app = fastify()
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'string' }, (request, text, done) => done(null, text))
  app.route({ method: ['GET', 'POST'], url: '/*', handler })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { port: app.server.address().port }
}

async function runAll(pool) {
  const client = await pool.connect()
  try {
    let rows = []
    for (const [nth, { text, values }] of statements.entries()) {
      const name = values.length > 0 ? `statement_${nth}` : undefined
      const result = await client.query({ name, text, values, rowMode: 'array' })
      if (result.rows?.length > 0) rows = result.rows
    }
    return rows
  } finally {
    client.release()
  }
}

/** Does the work so many times at once for so long, as a load tool would over connections. */
async function repeat(work, { connections, seconds }) {
  const beganAt = performance.now()
  const endsAt = beganAt + seconds * 1000
  const took = []
  await Promise.all(
    Array.from({ length: connections }, async () => {
      while (performance.now() < endsAt) {
        const startedAt = performance.now()
        await work()
        took.push(performance.now() - startedAt)
      }
    }),
  )
  took.sort((one, other) => one - other)
  return {
    perSecond: took.length / ((performance.now() - beganAt) / 1000),
    requests: took.length,
    p50: took[Math.floor(took.length * 0.5)],
    p99: took[Math.floor(took.length * 0.99)],
    errors: 0,
  }
}

const { port, work } = await kinds[kind]()
if (work) process.on('message', (wish) => void repeat(work, wish).then((run) => process.send(run)))
process.send({ port })
