import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { AppContext } from './context.ts'
import { createFigures, failedSources } from './figures.ts'
import type { FigureSource, Reading } from './metrics.ts'

const contextFor = (): AppContext => ({ log: { warn: () => undefined } }) as unknown as AppContext

function source(name: string, read: () => Promise<readonly Reading[]>): FigureSource {
  return { name, figures: [{ name, help: 'Of a test.', type: 'gauge' }], read }
}

const one = async (): Promise<Reading[]> => [{ figure: 'one', value: 1 }]
const missing = (value: number): Reading => ({ figure: failedSources.name, value })

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

test('are read once for all who ask, and not again within five seconds', async () => {
  const read = vi.fn(one)
  const figures = createFigures([source('one', read)], contextFor)
  const asked = await Promise.all(Array.from({ length: 20 }, () => figures.read()))
  expect(asked[19]).toEqual([{ figure: 'one', value: 1 }, missing(0)])
  await vi.advanceTimersByTimeAsync(4999)
  await figures.read()
  expect(read).toHaveBeenCalledTimes(1)
  await vi.advanceTimersByTimeAsync(1)
  await figures.read()
  expect(read).toHaveBeenCalledTimes(2)
})

test('of a source that fails are left out, and counted as missing', async () => {
  const failing = source('other', async () => {
    throw new Error('the table is away')
  })
  const figures = createFigures([source('one', one), failing], contextFor)
  expect(await figures.read()).toEqual([{ figure: 'one', value: 1 }, missing(1)])
})

test('of a source that hangs hold up nobody for long, and it is not asked twice at a time', async () => {
  let answer: (readings: readonly Reading[]) => void = () => undefined
  const read = vi.fn(() => new Promise<readonly Reading[]>((resolve) => (answer = resolve)))
  const figures = createFigures([source('other', read), source('one', one)], contextFor)
  const asked = figures.read()
  await vi.advanceTimersByTimeAsync(2000)
  expect(await asked).toEqual([{ figure: 'one', value: 1 }, missing(1)])
  await vi.advanceTimersByTimeAsync(5000)
  const again = figures.read()
  answer([{ figure: 'other', value: 2 }])
  expect(await again).toEqual([
    { figure: 'other', value: 2 },
    { figure: 'one', value: 1 },
    missing(0),
  ])
  expect(read).toHaveBeenCalledTimes(1)
})
