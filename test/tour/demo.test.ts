import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const demo = fileURLToPath(new URL('../../scripts/demo.ts', import.meta.url))

test('the tour of the README works, kills included', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [demo])
  expect(stdout).toContain('Nothing acknowledged is missing, and nothing was done twice.')
}, 120_000)
