import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: 'test/setup/postgres.ts',
    testTimeout: 20_000,
    hookTimeout: 30_000,
    maxWorkers: 2,
    // Packages are imported as Node itself does it, so that tests run what production runs.
    deps: { interopDefault: false },
  },
})
