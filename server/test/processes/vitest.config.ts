import { defineConfig } from 'vitest/config'

/** Bureau as its operators and its customers' browsers have it: as processes. */
export default defineConfig({
  test: {
    pool: 'threads',
    isolate: false,
    // Much of a test is waiting: no core is kept free beside them.
    maxWorkers: '100%',
    globalSetup: ['test/support/global-setup.ts'],
    include: ['test/processes/*.test.ts', 'test/browser/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
