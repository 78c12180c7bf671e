import { setTimeout as wait } from 'node:timers/promises'

const pollEveryMs = 20

/**
 * Waits until `check` no longer throws, and gives what it gave; its last failure is thrown when
 * the time is up. For what happens beside a test, such as a webhook on its way.
 */
export async function eventually<T>(
  check: () => Promise<T> | T,
  { withinMs = 10_000 }: { withinMs?: number } = {},
): Promise<T> {
  const deadline = performance.now() + withinMs
  for (;;) {
    try {
      return await check()
    } catch (failure) {
      if (performance.now() >= deadline) throw failure
      await wait(pollEveryMs)
    }
  }
}
