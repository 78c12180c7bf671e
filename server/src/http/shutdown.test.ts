import { once } from 'node:events'
import { connect } from 'node:net'
import { Type } from 'typebox'
import { expect, test } from 'vitest'
import { serveTable } from '../../test/support/table.ts'
import { endpoint } from './endpoint.ts'
import { closeServer } from './serve.ts'

const quick = endpoint(
  'GET /api/quick',
  { summary: 'Answer', access: 'public', reply: Type.Object({}), example: {} },
  async () => ({}),
)

test('a connection that never sends its request does not hold up the stop', async () => {
  const served = await serveTable([quick])
  expect((await fetch(`${served.url}/api/quick`)).status).toBe(200)
  const silent = connect(Number(new URL(served.url).port), '127.0.0.1')
  await once(silent, 'connect')
  const ended = once(silent, 'close')
  const startedAt = performance.now()
  await closeServer(served.http, 200)
  // Node itself would wait for its headers, for 20 seconds.
  expect(performance.now() - startedAt).toBeLessThan(5000)
  await ended
  await served.close()
})
