import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    pool: 'threads',
    isolate: false,
    // Much of a test is waiting: no core is kept free beside them.
    maxWorkers: '100%',
    globalSetup: ['test/support/global-setup.ts'],
    include: [
      'test/components/*.test.ts',
      // All that leans on the database, on another PostgreSQL than the one that Bureau brings.
      'test/{migrations,schema,sql}.test.ts',
      'src/modules/{checkout,crm,documents,identity,orders}/**/*.test.ts',
    ],
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
