import { randomInt } from 'node:crypto'
import { expect, test } from 'vitest'
import type { Endpoint } from '../../src/http/endpoint.ts'
import { modules } from '../../src/modules/index.ts'
import { findPromised } from './promises.ts'

/** What a test of a promise is handed, and how it tells what it saw. */
export interface Proof {
  /** Decides everything that is random; printed, and given again by `--seed` it repeats the case. */
  readonly seed: number
  /** The next of the numbers in [0, 1) that the seed decides. */
  random(): number
  /** A short phrase with figures and units for the table; each test has at least one. */
  measured(finding: string): void
}

/** What the report of the run carries of a test, to be made a row of the table. */
interface PromiseMeta {
  readonly number: number
  readonly kind: 'proof' | 'no surface'
  readonly findings: readonly string[]
  /** Null where nothing is random. */
  readonly seed: number | null
}

declare module 'vitest' {
  interface TaskMeta {
    promise?: PromiseMeta
  }
}

/** One for the whole run: every test begins its own sequence with it. */
const runSeed = Number(process.env['BUREAU_TRUST_SEED'] ?? randomInt(2 ** 31))

export interface ProofOptions {
  readonly timeoutMs?: number
}

/**
 * A test of the promise with that number. A promise may have several, each with a claim of its own;
 * it is kept while all of them hold.
 */
export function promise(
  number: number,
  claim: string,
  prove: (proof: Proof) => Promise<void> | void,
  { timeoutMs = 60_000 }: ProofOptions = {},
): void {
  findPromised(number)
  test(`promise ${number}: ${claim}`, { timeout: timeoutMs }, async ({ task }) => {
    const findings: string[] = []
    let isRandom = false
    const useSeed = (): number => {
      isRandom = true
      return runSeed
    }
    let next: (() => number) | undefined
    const proof: Proof = {
      get seed() {
        return useSeed()
      },
      random: () => (next ??= createRandom(useSeed()))(),
      measured: (finding) => void findings.push(finding),
    }
    try {
      await prove(proof)
    } catch (error) {
      if (isRandom && error instanceof Error) {
        error.message += `\n(again: npm run trust -- ${number} --seed ${runSeed})`
      }
      throw error
    } finally {
      task.meta.promise = { number, kind: 'proof', findings, seed: isRandom ? runSeed : null }
    }
    expect(findings, 'a proof says what it measured').not.toEqual([])
  })
}

/** The part of an endpoint that tells whether a surface is there. */
export type Surface = Pick<Endpoint, 'method' | 'path' | 'contract'>

/**
 * A promise, or a part of one, about something that Bureau does not have. `find` names where the
 * route table has it, and must find it in `sample`, which is such a route as the surface would add.
 */
export function noSurface(
  number: number,
  surface: string,
  { find, sample }: { find: (endpoint: Surface) => boolean; sample: Surface },
): void {
  findPromised(number)
  test(`promise ${number}: no surface, ${surface}`, ({ task }) => {
    task.meta.promise = { number, kind: 'no surface', findings: [surface], seed: null }
    expect(find(sample), 'the guard knows one when it sees it').toBe(true)
    const endpoints = modules.flatMap((module) => module.endpoints)
    expect(endpoints.length).toBeGreaterThan(40)
    const found = endpoints.filter(find).map(({ method, path }) => `${method} ${path}`)
    expect(found, `there is ${surface} now: promise ${number} needs a test`).toEqual([])
  })
}

/** Mulberry32 by Tommy Ettinger, public domain: enough for choosing cases, and short. */
export function createRandom(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
