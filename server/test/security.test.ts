import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { repository } from './support/sources.ts'
import { promised } from './trust/promises.ts'

const page = readFileSync(path.join(repository, 'docs/security.md'), 'utf8')

/** The cells of each row of a table whose first cell fits. */
function rowsOf(first: RegExp): string[][] {
  return page
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim()),
    )
    .filter(([cell]) => first.test(cell ?? ''))
}

/** `45–47, 50` is four numbers; a dash alone is none. */
function numbersIn(cell: string): number[] {
  return (cell.match(/\d+(?:–\d+)?/g) ?? []).flatMap((range) => {
    const [from = 0, to = from] = range.split('–').map(Number)
    expect(to, `${range} leads upwards`).toBeGreaterThanOrEqual(from)
    return Array.from({ length: to - from + 1 }, (_, at) => from + at)
  })
}

describe('docs/security.md', () => {
  const risks = rowsOf(/^API\d+ /)
  const chapters = rowsOf(/^V\d+ /)

  test('speaks of every risk of the API Top 10 and every chapter of ASVS 5.0', () => {
    const named = (rows: string[][]) => rows.map(([cell = '']) => cell.split(' ')[0])
    expect(named(risks)).toEqual(Array.from({ length: 10 }, (_, at) => `API${at + 1}`))
    expect(named(chapters)).toEqual(Array.from({ length: 17 }, (_, at) => `V${at + 1}`))
  })

  test('names promises that are made, and all of those about logins and rights', () => {
    const named = [...risks, ...chapters].flatMap(([, , numbers = '']) => numbersIn(numbers))
    const made = promised.map(({ number }) => number)
    expect(named.filter((number) => !made.includes(number))).toEqual([])
    const ours = made.filter((number) => number >= 45 && number <= 59)
    expect(ours.filter((number) => !named.includes(number))).toEqual([])
  })

  test('names files that are there, one at least for each that applies', () => {
    const files = [...page.matchAll(/`((?:server|docs)\/[\w./-]+|package-lock\.json)`/g)]
    expect(files.length).toBeGreaterThan(30)
    const missing = files
      .map(([, file = '']) => file)
      .filter((file) => !existsSync(path.join(repository, file)))
    expect(missing).toEqual([])
    const bare = [...risks, ...chapters].filter(
      ([, how = '', , held = '']) => !how.startsWith('not applicable') && !held.includes('`'),
    )
    expect(bare).toEqual([])
  })
})
