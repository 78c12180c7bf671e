import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    pool: 'threads',
    isolate: false,
    // Much of a test is waiting: no core is kept free beside them.
    maxWorkers: '100%',
    globalSetup: ['test/support/global-setup.ts'],
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    // These need more than Node, or minutes; scripts of their own run them.
    exclude: ['test/components/**', 'test/processes/**', 'test/browser/**', 'test/trust/long/**'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
