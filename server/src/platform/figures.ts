import { secondMs } from '../kernel/time.ts'
import type { AppContext } from './context.ts'
import type { Figure, FigureSource, Reading } from './metrics.ts'

/** The numbers of all modules, read together and not more often than every few seconds. */
export interface Figures {
  readonly declared: readonly Figure[]
  /** A source that fails or is slow is left out, and counted by `bureau_figure_sources_failed`. */
  read(): Promise<readonly Reading[]>
}

const maxAgeMs = 5 * secondMs
const readTimeoutMs = 2 * secondMs

/** Says of the figures themselves how many are missing. */
export const failedSources: Figure = {
  name: 'bureau_figure_sources_failed',
  help: 'Sources of figures that did not answer; their figures are missing.',
  type: 'gauge',
}

/** The registry of all figures, with a context of its own for each reading. */
export function createFigures(
  sources: readonly FigureSource[],
  contextFor: () => AppContext,
): Figures {
  const readers = sources.map((source) => readerOf(source, contextFor))
  let last: readonly Reading[] = []
  let readAtMs = Number.NEGATIVE_INFINITY
  let reading: Promise<void> | undefined
  const readAll = async (): Promise<void> => {
    const found = await Promise.all(readers.map((read) => read()))
    const missing = found.filter((readings) => readings === undefined).length
    last = [...found.flatMap((readings) => readings ?? []), failed(missing)]
    readAtMs = performance.now()
  }
  return {
    declared: [failedSources, ...sources.flatMap(({ figures }) => figures)],
    read: async () => {
      if (performance.now() - readAtMs < maxAgeMs) return last
      // Several that scrape at once share one reading.
      reading ??= readAll().finally(() => {
        reading = undefined
      })
      await reading
      return last
    },
  }
}

function failed(value: number): Reading {
  return { figure: failedSources.name, value }
}

type Reader = () => Promise<readonly Reading[] | undefined>

/** Undefined where the source did not answer in time; one that still thinks is not asked again. */
function readerOf(source: FigureSource, contextFor: () => AppContext): Reader {
  let asked: Promise<readonly Reading[] | undefined> | undefined
  const ask = async (): Promise<readonly Reading[] | undefined> => {
    const ctx = contextFor()
    try {
      return await source.read(ctx)
    } catch (error) {
      ctx.log.warn({ err: error, source: source.name }, 'figures not read')
      return undefined
    }
  }
  return async () => {
    asked ??= ask().finally(() => {
      asked = undefined
    })
    let timer: NodeJS.Timeout | undefined
    const tooSlow = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), readTimeoutMs)
    })
    try {
      return await Promise.race([asked, tooSlow])
    } finally {
      clearTimeout(timer)
    }
  }
}
