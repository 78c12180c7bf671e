import fc from 'fast-check'
import { Writable } from 'node:stream'
import { expect } from 'vitest'
import { createLogger } from '../../../src/platform/log.ts'
import { startTestApp, type TestApp } from '../../support/app.ts'
import { eventually } from '../../support/eventually.ts'
import { sendRaw } from '../../support/raw-http.ts'
import type { Proof } from '../promise.ts'
import { attacksOn, bytesOf, describeAttack, endpoints, type Attack } from './attack.ts'
import { enterAsStaff, gather, type Caller, type CallerName } from './people.ts'
import { complaintsAbout } from './verdict.ts'

/** Sends so many attacks to every operation there is, and looks at Bureau when it is over. */
export async function attackEverything(
  proof: Proof,
  { perOperation }: { perOperation: number },
): Promise<void> {
  const logged: string[] = []
  const destination = new Writable({
    write(chunk: Buffer, _encoding, done) {
      logged.push(chunk.toString())
      done()
    },
  })
  const log = createLogger('warn', destination)
  const app = await startTestApp({ errorDetail: false, log })
  try {
    const siege = await beginSiege(app)
    for (const [index, endpoint] of endpoints.entries()) {
      const property = fc.asyncProperty(attacksOn(endpoint), (attack) => siege.send(attack))
      await fc.assert(property, { seed: proof.seed + index, numRuns: perOperation })
    }
    await expectAtRest(app)
    const alarming = logged.filter((line) => /"level":(50|60)|unexpected/.test(line))
    expect(alarming).toEqual([])
    const { sent, accepted, slowestMs } = siege.tally
    expect(accepted, 'some of what is sent gets all the way through').toBeGreaterThan(sent / 20)
    proof.measured(`${endpoints.length} operations`)
    proof.measured(`${sent} hostile requests, 0 × 5xx`)
    proof.measured(`slowest ${Math.round(slowestMs)} ms`)
  } finally {
    await app.close()
  }
}

interface Siege {
  readonly tally: { sent: number; accepted: number; slowestMs: number }
  send(attack: Attack): Promise<void>
}

/** Callers lose what they have: orders are cancelled, sessions ended. New ones come this often. */
const attacksOfOneParty = 60

async function beginSiege(app: TestApp): Promise<Siege> {
  const tally = { sent: 0, accepted: 0, slowestMs: 0 }
  let party = await gather(app)
  let usedUp = 0
  return {
    tally,
    send: async (attack) => {
      usedUp += 1
      if (usedUp > attacksOfOneParty) {
        party = await gather(app)
        usedUp = 0
      }
      const reply = await sendTwiceIfSlow(app, attack, party)
      tally.sent += 1
      tally.slowestMs = Math.max(tally.slowestMs, reply.tookMs)
      if (reply.status < 300) tally.accepted += 1
      const isGone = attack.endpoint.method === 'DELETE' && reply.status === 204
      if (isGone) usedUp = attacksOfOneParty
      expect(complaintsAbout(reply), describeAttack(attack)).toEqual([])
    },
  }
}

/** What is slow by itself is slow again; what stood still with the whole machine is not. */
async function sendTwiceIfSlow(
  app: TestApp,
  attack: Attack,
  party: ReadonlyMap<CallerName, Caller>,
) {
  const caller = party.get(attack.caller)
  if (!caller) throw new Error(`nobody is ${attack.caller}`)
  const send = () => sendRaw(app.url, bytesOf(app, attack, caller))
  const reply = await send()
  return reply.tookMs < 1000 ? reply : await send()
}

/** The process lives, nothing was unexpected, and no connection of the pool is held. */
async function expectAtRest(app: TestApp): Promise<void> {
  const health = await app.request('GET /api/system/health')
  expect([health.status, health.body.status]).toEqual([200, 'pass'])
  const errors = await app.request('GET /api/system/errors', {
    token: await enterAsStaff(app, 'admin'),
  })
  expect(errors.body.data).toEqual([])
  await eventually(() => {
    const { totalCount, idleCount, waitingCount } = app.db.driver
    expect([totalCount - idleCount, waitingCount]).toEqual([0, 0])
  })
}
