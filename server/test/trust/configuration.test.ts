import fc from 'fast-check'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect } from 'vitest'
import { ConfigError, readConfig, variableNames } from '../../src/config.ts'
import type { Environment } from '../../src/config/environment.ts'
import { repository } from '../support/sources.ts'
import { promise } from './promise.ts'
import { wrongValues } from './wrong-values.ts'

type Variable = (typeof variableNames)[number]

/** Any text may be one: what is wrong with it shows when it is used, at the start as well. */
const judgedWhenUsed: Partial<Record<Variable, string>> = {
  DATA_DIR: 'the disk knows whether it can be had',
  ADMIN_PASSWORD: 'passwords have rules of their own, which the first login is held to',
}

promise(
  88,
  'every variable with a wrong value is one line, and the value is not in it',
  (proof) => {
    const judged = Object.keys({ ...wrongValues, ...judgedWhenUsed })
    expect([...variableNames].filter((name) => !judged.includes(name))).toEqual([])
    const runs = 40
    for (const [name, values] of Object.entries(wrongValues)) {
      const holds = fc.property(values, (value) => {
        const problems = problemsOf({ [name]: value })
        const about = problems.filter((line) => line.startsWith(`${name} must `))
        expect([name, about.length, value]).toEqual([name, 1, value])
        expect(problems.join('\n')).not.toMatch(/priv[a-z]{12}/)
        expect(problems.join('\n')).not.toContain('undefined')
        for (const line of problems) expect(line).toMatch(/^[A-Z][^\n]{10,150}\.$/)
      })
      fc.assert(holds, { seed: proof.seed, numRuns: runs })
    }
    const count = Object.keys(wrongValues).length
    proof.measured(`${count} variables × ${runs} wrong values: one line each, 0 values shown`)
  },
)

const weak = fc.oneof(
  fc.constantFrom('secret', 'changeme', 'password', 'default', 'example', 'replace me'),
  fc.string({ maxLength: 31 }),
  fc.string({ unit: fc.constantFrom('a', 'b', '1'), minLength: 32, maxLength: 80 }),
  fc
    .tuple(fc.constantFrom('change-me', 'Example', 'SECRET', 'password'), fc.uuid())
    .map(([word, id]) => `${word}-${id}`),
)

promise(53, 'production refuses a weak or example secret', (proof) => {
  const shown = [
    ...readFileSync(path.join(repository, '.env.example'), 'utf8').matchAll(/^# \w+=(.+)$/gm),
  ]
  const examples = shown.map(([, value = '']) => value).filter((value) => value !== '')
  expect(examples.length).toBeGreaterThan(10)
  const production = { NODE_ENV: 'production', DATABASE_URL: 'postgres://a@b/c' }
  expect(problemsOf(production)).toEqual([expect.stringContaining('SECRET_KEY is needed')])
  const runs = 300
  const holds = fc.property(fc.oneof(weak, fc.constantFrom(...examples)), (secret) => {
    const problems = problemsOf({ ...production, SECRET_KEY: secret, METRICS_TOKEN: secret })
    expect(problems.filter((line) => line.startsWith('SECRET_KEY'))).toHaveLength(1)
    if (secret.trim().length < 20) return
    const isLong = Buffer.byteLength(secret.trim()) >= 20 && new Set(secret.trim()).size >= 10
    const isTyped = /change|example|secret|password|passwd|default|replace/i.test(secret)
    const refused = problems.some((line) => line.startsWith('METRICS_TOKEN'))
    expect(refused).toBe(!isLong || isTyped)
  })
  fc.assert(holds, { seed: proof.seed, numRuns: runs })
  proof.measured(`${runs} weak secrets refused in production, ${examples.length} of .env.example`)
})

function problemsOf(environment: Environment): readonly string[] {
  try {
    readConfig(environment)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}
