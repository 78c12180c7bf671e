import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { listFiles, repository } from '../support/sources.ts'
import { promised } from './promises.ts'

const folder = path.join(repository, 'server/test/trust')

/** How often each number is claimed by a test; a number is always written out. */
const claims = listFiles(folder, /\.test\.ts$/).flatMap((file) =>
  [
    ...readFileSync(path.join(folder, file), 'utf8').matchAll(/\b(?:promise|noSurface)\((\d+),/g),
  ].map(([, number]) => Number(number)),
)

describe('docs/promises.md', () => {
  test('is claimed number by number, and nothing else is', () => {
    const numbers = promised.map(({ number }) => number)
    expect([...new Set(claims)].filter((number) => !numbers.includes(number))).toEqual([])
  })

  test('numbers its promises from 1 to 90', () => {
    expect(promised.map(({ number }) => number)).toEqual(
      Array.from({ length: 90 }, (_, at) => at + 1),
    )
  })
})
