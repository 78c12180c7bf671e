import { describe, expect, test } from 'vitest'
import type { AppError } from '../kernel/errors.ts'
import { createPasswords } from './passwords.ts'

const passwords = createPasswords()

describe('hash', () => {
  test('is Argon2id with 19 MiB and two passes, salted anew each time', async () => {
    const first = await passwords.hash('violet teapot on the moor')
    const second = await passwords.hash('violet teapot on the moor')
    expect(first).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
    expect(second).not.toBe(first)
  })
})

describe('verify', () => {
  test('knows the right password from a wrong one', async () => {
    const hash = await passwords.hash('violet teapot on the moor')
    expect(await passwords.verify(hash, 'violet teapot on the moor')).toBe(true)
    expect(await passwords.verify(hash, 'violet teapot on the moor ')).toBe(false)
    expect(await passwords.verify(hash, '')).toBe(false)
  })

  test('takes composed and decomposed characters for the same', async () => {
    const hash = await passwords.hash('Zoë’s Ångström café'.normalize('NFC'))
    expect(await passwords.verify(hash, 'Zoë’s Ångström café'.normalize('NFD'))).toBe(true)
  })

  test('tells passwords apart beyond their 72nd byte', async () => {
    const hash = await passwords.hash(`${'é'.repeat(100)}a`)
    expect(await passwords.verify(hash, `${'é'.repeat(100)}b`)).toBe(false)
  })

  test('is false for an unknown account, whatever the password', async () => {
    expect(await passwords.verify(null, '')).toBe(false)
    expect(await passwords.verify(null, 'violet teapot on the moor')).toBe(false)
  })
})

describe('the queue', () => {
  test('503 beyond what may wait, and everything accepted is done', async () => {
    const flooded = createPasswords()
    const outcomes = await Promise.allSettled(
      Array.from({ length: 260 }, () => flooded.verify(null, 'x')),
    )
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected')
    const refusals = refused.map(({ reason }) => reason as AppError)
    expect(refused.length).toBeGreaterThan(0)
    expect(refused.length).toBeLessThan(100)
    expect(refusals.every(({ status }) => status === 503)).toBe(true)
    expect(refusals.every(({ retryAfterSeconds }) => retryAfterSeconds === 2)).toBe(true)
    expect(await flooded.verify(null, 'x')).toBe(false)
  })
})

describe('isCommon', () => {
  test('knows passwords that lead every leaked list, in any case', () => {
    expect(passwords.isCommon('password123')).toBe(true)
    expect(passwords.isCommon('1q2w3e4r5t6y')).toBe(true)
    expect(passwords.isCommon('QwertyUiop')).toBe(true)
  })

  test('does not know one that nobody uses', () => {
    expect(passwords.isCommon('violet teapot on the moor')).toBe(false)
  })
})
