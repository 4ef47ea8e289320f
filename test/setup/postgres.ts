import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { startPostgres } from '../../src/db/at-hand/postgres.ts'
import { ensureDatabase, migrate } from '../../src/db/migrate.ts'
import { testLogin } from '../login.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The superuser's address of the server that all test files share. */
    ownerUrl: string
  }
}

/**
 * One real Postgres for the run, with a migrated template that each file's database is cloned from.
 * It need not survive a crash of the machine, so it does not wait for the disk.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const home = mkdtempSync(join(tmpdir(), 'ubos-test-'))
  const settings = { fsync: 'off', max_connections: '400' }
  const server = await startPostgres({ home, say: () => undefined, settings })
  await migrate(await ensureDatabase(server.ownerUrl, 'ubos_template'), testLogin)
  project.provide('ownerUrl', server.ownerUrl)
  return async () => {
    await server.stop()
    await rm(home, { recursive: true, force: true })
  }
}
