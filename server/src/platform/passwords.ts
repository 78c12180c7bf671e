import { randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
import { hash, verify, type Options } from '@node-rs/argon2'
import { unavailable } from '../kernel/errors.ts'

/** Argon2id off the event loop, at most two hashes at once. */
export interface Passwords {
  /** The PHC string to store. */
  hash(password: string): Promise<string>
  /** False for a wrong password; takes as long when `hash` is null (an unknown account). */
  verify(hash: string | null, password: string): Promise<boolean>
  /** Whether the text is among the passwords that attackers try first. */
  isCommon(password: string): boolean
}

/** OWASP's first choice of parameters (Password Storage Cheat Sheet): 19 MiB, two passes. */
const parameters: Options = {
  // The package's enums are ambient constants, which do not exist at run time: 2 is Argon2id.
  algorithm: 2,
  memoryCost: 19 * 1024,
  timeCost: 2,
  parallelism: 1,
}

/** More would take threads and memory from everything else in the process. */
const maxAtOnce = 2
/** About two seconds of work on a small machine: whoever waits longer has given up. */
const maxWaiting = 200

export function createPasswords(): Passwords {
  const inTurn = createTurns()
  /** What an unknown account's password is compared with. */
  const nobodys = inTurn(() => hash(randomBytes(32), parameters))
  const common = loadCommonPasswords()
  return {
    hash: (password) => inTurn(() => hash(normalise(password), parameters)),
    verify: async (stored, password) => {
      const against = stored ?? (await nobodys)
      const matches = await inTurn(() => verify(against, normalise(password)))
      return matches && stored !== null
    },
    isCommon: (password) => common.has(normalise(password).toLowerCase()),
  }
}

/** Typed on another keyboard it is the same password (NIST 800-63B-4, section 3.1.1.2). */
function normalise(password: string): string {
  return password.normalize('NFC')
}

/** Runs work a few at a time, in the order it came; 503 when too much is waiting already. */
function createTurns(): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = []
  let running = 0
  return async (work) => {
    if (running < maxAtOnce) running += 1
    else {
      if (waiting.length >= maxWaiting) {
        throw unavailable({ retryAfterSeconds: 2, facts: { reason: 'too many passwords to hash' } })
      }
      // Whoever finishes hands its place over, so `running` stays as it is.
      await new Promise<void>((resolve) => waiting.push(resolve))
    }
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else running -= 1
    }
  }
}

/** Some 40,000 passwords of leaked lists, 8 characters and longer, in lower case. */
function loadCommonPasswords(): ReadonlySet<string> {
  const load = createRequire(import.meta.url)
  return new Set(load('popular-passwords') as readonly string[])
}
