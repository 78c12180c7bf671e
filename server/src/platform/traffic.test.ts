import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { keepWindows, type Counts, type Windows } from './traffic.ts'

const minuteMs = 60_000

/** Requests of one route up to now: quick ones in the first of two buckets, the others beyond. */
function counts(quick: number, slow: number, failed = 0): Counts {
  const route = { method: 'GET', route: '/a' }
  return new Map([
    ['GET /a 200', { ...route, status: 200, atMost: [quick, quick + slow] }],
    ['GET /a 500', { ...route, status: 500, atMost: [0, failed] }],
  ])
}

let now: Counts
let windows: Windows

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] })
  now = counts(0, 0)
  windows = keepWindows(async () => now)
  windows.start()
})
afterEach(() => {
  windows.stop()
  vi.useRealTimers()
})

test('tells what was asked since the start, at first', async () => {
  now = counts(8, 2, 1)
  await vi.advanceTimersByTimeAsync(30_000)
  expect(await windows.traffic()).toEqual({
    windowSeconds: 30,
    routes: [{ method: 'GET', route: '/a', count: 11, errors: 1, buckets: [8, 3] }],
  })
})

test('forgets what is older than five minutes', async () => {
  now = counts(100, 0, 7)
  await vi.advanceTimersByTimeAsync(2 * minuteMs)
  expect((await windows.traffic()).routes[0]?.count).toBe(107)
  now = counts(110, 5, 7)
  await vi.advanceTimersByTimeAsync(4 * minuteMs)
  const { windowSeconds, routes } = await windows.traffic()
  expect(windowSeconds).toBeGreaterThanOrEqual(240)
  expect(windowSeconds).toBeLessThanOrEqual(360)
  expect(routes).toEqual([{ method: 'GET', route: '/a', count: 15, errors: 0, buckets: [10, 5] }])
  await vi.advanceTimersByTimeAsync(10 * minuteMs)
  expect((await windows.traffic()).routes).toEqual([])
})

test('keeps no more after it was stopped', async () => {
  windows.stop()
  now = counts(5, 0)
  await vi.advanceTimersByTimeAsync(20 * minuteMs)
  expect((await windows.traffic()).routes[0]?.count).toBe(5)
})
