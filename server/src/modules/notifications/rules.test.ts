import { describe, expect, test } from 'vitest'
import { dayMs, hourMs, later, minuteMs } from '../../kernel/time.ts'
import { nextAttempt, tooOldBefore } from './rules/backoff.ts'
import { problemsOfMail } from './rules/send-mail.ts'

const began = new Date('2026-11-22T16:40:21.000Z')

describe('the next attempt', () => {
  const minutesAfter = (waited: number): number | undefined => {
    const now = later(began, waited * minuteMs)
    const next = nextAttempt(began, now)
    return next && (next.getTime() - now.getTime()) / minuteMs
  }

  test('comes after as long as the mail has waited, from a minute to four hours', () => {
    expect([0, 0.5, 1, 2, 30, 239].map(minutesAfter)).toEqual([1, 1, 1, 2, 30, 239])
    expect([241, 24 * 60, 68 * 60].map(minutesAfter)).toEqual([240, 240, 240])
  })

  test('ends after three days, with some two dozen attempts in between', () => {
    let now = began
    let attempts = 0
    for (;;) {
      attempts += 1
      const next = nextAttempt(began, now)
      if (!next) break
      now = next
    }
    expect(attempts).toBe(26)
    expect(now.getTime()).toBeLessThanOrEqual(later(began, 3 * dayMs).getTime())
    expect(now.getTime()).toBeGreaterThan(later(began, 3 * dayMs - 4 * hourMs).getTime())
    expect(tooOldBefore(later(began, 3 * dayMs))).toEqual(began)
  })
})

describe('what a mail by hand needs', () => {
  const to = 'ada@example.com'

  test.each([
    [{ to, subject: 'a', text: 'b' }, []],
    [{ to, subject: 'a', text: 'b', html: '<p>b</p>' }, []],
    [{ to, template: 'welcome', data: { name: 'Ada' } }, []],
    [{}, ['/to', '/subject', '/text']],
    [{ to, template: 'verify_email' }, ['/template', '/data']],
    [{ to, template: 'welcome', data: {}, subject: 'a', text: 'b' }, ['/subject', '/text']],
  ] as const)('%j', (input, pointers) => {
    expect(problemsOfMail(input).map(({ pointer }) => pointer)).toEqual(pointers)
  })
})
