import fc from 'fast-check'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, expect } from 'vitest'
import { makeFreshDatabase } from '../../support/fresh-database.ts'
import { cleanUp, makeFolder, runToEnd, startTimeoutMs } from '../../support/process.ts'
import { promise, type Proof } from '../promise.ts'
import { wrongValues } from '../wrong-values.ts'

afterEach(cleanUp, startTimeoutMs)

promise(88, 'all wrong at once, and what shows at the start, end it', provesEnds, {
  timeoutMs: 300_000,
})

async function provesEnds(proof: Proof): Promise<void> {
  const environment: Record<string, string> = {}
  for (const [name, values] of Object.entries(wrongValues)) {
    const [value = ''] = fc.sample(values, { seed: proof.seed, numRuns: 1 })
    environment[name] = value
  }
  const all = await runToEnd('start', environment)
  expect(all.code).toBe(1)
  const lines = all.output.trim().split('\n')
  expect(lines[0]).toBe('The configuration is wrong:')
  for (const name of Object.keys(wrongValues)) {
    expect(lines.filter((line) => line.startsWith(`  - ${name} must `))).toHaveLength(1)
  }
  expect(all.output).not.toMatch(/priv[a-z]{12}|^\s+at /m)

  const database = await makeFreshDatabase()
  const file = path.join(await makeFolder(), 'file')
  await writeFile(file, '')
  const sound = { DATABASE_URL: database.ownerUrl, DATA_DIR: await makeFolder(), DEMO: 'false' }
  const atTheStart: readonly [Record<string, string>, RegExp][] = [
    [{ DATA_DIR: path.join(file, 'data') }, /^A file cannot be used: .+\.$/m],
    [{ HOST: '192.0.2.1' }, /^HOST is no address of this machine \(EADDRNOTAVAIL\)\.$/m],
    [
      { ADMIN_EMAIL: 'a@b.example', ADMIN_PASSWORD: 'privabcdefghijkl'.slice(0, 5) },
      /^ {2}- ADMIN_PASSWORD /m,
    ],
    [
      { DATABASE_URL: 'postgres://u:privabcdefghijkl@127.0.0.1:1/x' },
      /^The database does not let us in \(.+\): see DATABASE_URL\.$/m,
    ],
  ]
  for (const [wrong, sentence] of atTheStart) {
    const ended = await runToEnd('start', { ...sound, ...wrong })
    expect([wrong, ended.code, ended.output]).toEqual([wrong, 1, expect.stringMatching(sentence)])
    expect(ended.output).not.toMatch(/priv[a-z]{5}|^\s+at /m)
  }
  await database.drop()
  const count = Object.keys(wrongValues).length
  proof.measured(`exit 1 for ${count} wrong at once and for ${atTheStart.length} seen at the start`)
}
