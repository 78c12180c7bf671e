/** One line of what the doctor says. */
export interface Look {
  readonly status: 'ok' | 'warn' | 'fail'
  readonly what: string
  /** What was found, and what to do where it is not well; never a secret. */
  readonly words: string
}

export const ok = (what: string, words: string): Look => ({ status: 'ok', what, words })
export const warn = (what: string, words: string): Look => ({ status: 'warn', what, words })
export const fail = (what: string, words: string): Look => ({ status: 'fail', what, words })

/** Fine, or else what is to be thought about. */
export const unless = (trouble: boolean, what: string, words: string): Look[] =>
  trouble ? [warn(what, words)] : []

export function isFailure({ status }: Look): boolean {
  return status === 'fail'
}

/** Whatever goes wrong in a look, or takes longer, is what was found. */
export async function within(
  limitMs: number,
  what: string,
  look: () => Promise<Look[]>,
): Promise<Look[]> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<Look[]>((resolve) => {
    timer = setTimeout(() => resolve([fail(what, `no answer within ${limitMs} ms`)]), limitMs)
  })
  try {
    return await Promise.race([look(), late])
  } catch (error) {
    return [fail(what, reasonOf(error))]
  } finally {
    clearTimeout(timer)
  }
}

/** Messages of the driver and of the system name machines and files, and neither password nor key. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  const words = cause instanceof Error ? cause.message : String(cause)
  return words.split('\n')[0] ?? ''
}
