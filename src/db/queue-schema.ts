import type pg from 'pg'
import { createPool } from './pool.ts'

/** The schema of graphile-worker as this version of it wants it: the name of our note of it. */
export const queueVersion = 'graphile-worker 0.18.0'

/**
 * Brings graphile-worker's schema to its newest form, as the worker's role, which must own it: a
 * role that does not own its tables runs nothing, and says nothing. That role may make a schema for
 * this one moment only. Answers what was applied.
 */
export async function installQueue(owner: pg.Client, databaseUrl: string): Promise<string[]> {
  const { rowCount } = await owner.query('select from migration where name = $1', [queueVersion])
  if (rowCount !== 0) return []
  const { rows } = await owner.query<{ name: string }>('select current_database() as name')
  const database = owner.escapeIdentifier(rows[0]?.name ?? '')
  const { Logger, runMigrations } = await import('graphile-worker')
  const pgPool = createPool(databaseUrl, 'ubos_worker', 2)
  const logger = new Logger(() => () => undefined)
  await owner.query(`grant create on database ${database} to ubos_worker`)
  try {
    await runMigrations({ pgPool, logger })
  } finally {
    await owner.query(`revoke create on database ${database} from ubos_worker`)
    await pgPool.end()
  }
  await owner.query('insert into migration (name, digest) values ($1, $2)', [queueVersion, ''])
  return [queueVersion]
}
