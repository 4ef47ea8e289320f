import { defineConfig } from 'vitest/config'

const pages = 'test/pages/**/*.test.ts'

export default defineConfig({
  test: {
    globalSetup: 'test/setup/postgres.ts',
    testTimeout: 20_000,
    hookTimeout: 30_000,
    maxWorkers: 2,
    // Packages are imported as Node itself does it, so that tests run what production runs.
    deps: { interopDefault: false },
    projects: [
      { extends: true, test: { name: 'house', include: ['test/**/*.test.ts'], exclude: [pages] } },
      // In a browser: apart, since it needs Chromium, where all else needs npm only.
      { extends: true, test: { name: 'pages', include: [pages] } },
    ],
  },
})
