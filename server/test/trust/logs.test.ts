import fc from 'fast-check'
import { Writable } from 'node:stream'
import { expect } from 'vitest'
import { createLogger } from '../../src/platform/log.ts'
import { promise } from './promise.ts'

/** Forms that give a secret away wherever it stands, each with the part that must not be seen. */
const secrets: readonly string[] = [
  'eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ1c3JfMDEifQ.c2lnbmF0dXJlLW9mLWl0',
  'sk_live_51HsecretSecret',
  'rk_test_51HsecretSecret',
  'whsec_c2VjcmV0c2VjcmV0',
  'pi_3Nsecret_secret_Qm9va2tlZXBpbmc',
  '4242424242424242',
  '4242 4242 4242 4242',
  '5555-5555-5555-4444',
  '378282246310005',
]
const member = 'never-shown-9f3a'

/** Log lines as they leave the process. */
function keepLines() {
  const chunks: string[] = []
  const destination = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk.toString())
      done()
    },
  })
  return { log: createLogger('info', destination), written: () => chunks.join('') }
}

const hostileText = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '\r\n',
        '\n{"level":60,"msg":"forged"}',
        '\u001b[2J\u001b[31m',
        '\u0007',
        '"',
      ),
      fc.constantFrom('\u2028', '\u0085', '\\', '\0', '\ud800', '\u202e'),
      fc.constantFrom(...secrets),
      fc.string({ unit: 'binary', maxLength: 12 }),
    ),
    { minLength: 1, maxLength: 6 },
  )
  .map((pieces) => pieces.join(' '))

promise(73, 'whatever is logged is one line of JSON, with no secret in it', (proof) => {
  const { log, written } = keepLines()
  let calls = 0
  fc.assert(
    fc.property(hostileText, hostileText, (message, value) => {
      log.info({ requestId: value, nested: { value, deep: [value] } }, message)
      log.error({ err: new Error(message), facts: { value } }, 'unexpected error')
      log.warn({ password: member, body: { token: member, more: { clientSecret: member } } }, value)
      log.info({ headers: { authorization: member, cookie: member, 'x-order-token': member } }, 'x')
      calls += 4
    }),
    { seed: proof.seed, numRuns: 300 },
  )
  const text = written()
  // oxlint-disable-next-line no-control-regex
  expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/)
  const lines = text.split('\n')
  expect(lines.pop()).toBe('')
  expect(lines.length).toBe(calls)
  for (const line of lines) {
    const parsed = JSON.parse(line) as Record<string, unknown>
    expect([typeof parsed['time'], typeof parsed['level']]).toEqual(['string', 'number'])
    expect(parsed['msg']).not.toBe('forged')
  }
  for (const secret of [...secrets, member]) {
    expect([secret, text.includes(secret)]).toEqual([secret, false])
  }
  proof.measured(
    `${calls} hostile records: ${lines.length} lines, ${secrets.length + 1} secrets unseen`,
  )
})
