import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts', 'src/**/*.test.ts'],
    // As the server has it: the two share the workers.
    maxWorkers: '100%',
  },
})
