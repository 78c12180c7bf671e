import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { listFiles, repository } from '../support/sources.ts'
import { promised } from './promises.ts'

const folder = path.join(repository, 'server/test/trust')

/** The numbers that tests claim, in the order of the files; a number is always written out. */
const claim = /^(?:promise|noSurface)\(\s*(\d+),/gm
const claims = listFiles(folder, /\.test\.ts$/).flatMap((file) =>
  [...readFileSync(path.join(folder, file), 'utf8').matchAll(claim)].map(([, number]) =>
    Number(number),
  ),
)

describe('docs/promises.md', () => {
  test('has a test for each number, and no test claims another', () => {
    const numbers = promised.map(({ number }) => number)
    expect([...new Set(claims)].toSorted((one, other) => one - other)).toEqual(numbers)
  })

  test('numbers its promises from 1 to 90', () => {
    expect(promised.map(({ number }) => number)).toEqual(
      Array.from({ length: 90 }, (_, at) => at + 1),
    )
  })
})
