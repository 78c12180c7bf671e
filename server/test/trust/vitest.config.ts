import { defineConfig } from 'vitest/config'

/** All promises, the long ones too, one file after the other: many of them measure time. */
export default defineConfig({
  test: {
    pool: 'threads',
    isolate: false,
    maxWorkers: 1,
    globalSetup: ['test/support/global-setup.ts'],
    include: ['test/trust/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 120_000,
  },
})
