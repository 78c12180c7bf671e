import { readFileSync } from 'node:fs'
import path from 'node:path'
import { repository } from '../support/sources.ts'

/** One numbered line of `docs/promises.md`, whose words the table of `npm run trust` repeats. */
export interface Promised {
  readonly number: number
  readonly text: string
  /** What a test has to see. */
  readonly seen: string
}

export const promised: readonly Promised[] = readPromises()

export function findPromised(number: number): Promised {
  const found = promised.find((one) => one.number === number)
  if (!found) throw new Error(`docs/promises.md has no number ${number}`)
  return found
}

function readPromises(): Promised[] {
  const page = readFileSync(path.join(repository, 'docs/promises.md'), 'utf8')
  return [...page.matchAll(/^(\d+)\. (.+?) → (.+)$/gm)].map(([, number, text = '', seen = '']) => ({
    number: Number(number),
    text,
    seen,
  }))
}
