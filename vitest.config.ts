import { defineConfig } from 'vitest/config'

const pages = 'test/pages/**/*.test.ts'
const failure = ['test/chaos/**/*.test.ts', 'test/running/**/*.test.ts']

export default defineConfig({
  test: {
    globalSetup: 'test/setup/postgres.ts',
    // Machines are starved at times: a test says what it waits for, and this is only the net under it.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    retry: process.env.CI ? 1 : 0,
    maxWorkers: 2,
    // Packages are imported as Node itself does it, so that tests run what production runs.
    deps: { interopDefault: false },
    projects: [
      {
        extends: true,
        test: { name: 'house', include: ['test/**/*.test.ts'], exclude: [pages, ...failure] },
      },
      // Processes that are killed, stopped and replaced under load: minutes, one file at a time.
      { extends: true, test: { name: 'failure', include: failure, fileParallelism: false } },
      // In a browser: apart, since it needs Chromium, where all else needs npm only.
      { extends: true, test: { name: 'pages', include: [pages] } },
    ],
  },
})
