import { defineConfig } from 'vitest/config'
import { LongestFirst } from './test/setup/longest-first.ts'

const pages = 'test/pages/**/*.test.ts'

export default defineConfig({
  test: {
    globalSetup: 'test/setup/postgres.ts',
    // Machines are starved at times: a test says what it waits for, and this is only the net under it.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // In CI a test may be starved; one that needed a second run is printed with it.
    retry: process.env.CI ? 1 : 0,
    // One more than the cores of a small machine: many tests wait, for leases to end or processes to die.
    maxWorkers: 3,
    // Files share what they import: half of the time of the whole would go into importing it again.
    isolate: false,
    sequence: { sequencer: LongestFirst },
    // Packages are imported as Node itself does it, so that tests run what production runs.
    deps: { interopDefault: false },
    projects: [
      {
        extends: true,
        test: { name: 'house', include: ['test/**/*.test.ts'], exclude: [pages] },
      },
      // In a browser: apart, since it needs Chromium, where all else needs npm only.
      { extends: true, test: { name: 'pages', include: [pages] } },
    ],
  },
})
