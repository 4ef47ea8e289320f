import type pg from 'pg'
import { flushWorker } from '#db/worker.ts'
import { eraseLock } from './hold.ts'

/** Rows taken at once, so that no statement holds locks for long. */
export const batchMax = 5_000

/** Runs a statement that takes `batchMax` rows at most until it finds fewer. */
export async function inBatches(pool: pg.Pool, statement: pg.QueryConfig): Promise<void> {
  for (;;) {
    const { rowCount } = await pool.query(statement)
    if ((rowCount ?? 0) < batchMax) return
  }
}

/** `inBatches` for what a legal hold keeps: the statement asks `isFree` of the rows that it takes. */
export async function eraseInBatches(pool: pg.Pool, statement: pg.QueryConfig): Promise<void> {
  for (;;) {
    const erased = await unheld(pool, async (client) => await client.query(statement))
    if ((erased.rowCount ?? 0) < batchMax) return
  }
}

/** The condition that no hold keeps the rows of a table, or alias, which has a `tenant_id`. */
export function isFree(alias: string): string {
  return `not exists (select from legal_hold as hold
    where hold.tenant_id = ${alias}.tenant_id and hold.reason is not null)`
}

/**
 * Runs `work` in one transaction during which no hold is placed: a hold that was answered keeps
 * everything that was there by then, also from those who had begun to erase.
 */
export async function unheld<Result>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<Result>,
): Promise<Result> {
  const client = await pool.connect()
  try {
    const turn = { text: 'select pg_advisory_xact_lock_shared($1)', values: [eraseLock] }
    await flushWorker(client, 'begin', [turn])
    const result = await work(client)
    await flushWorker(client, 'commit', [])
    client.release()
    return result
  } catch (error) {
    // The connection goes with its transaction, whatever state that is in.
    client.release(true)
    throw error
  }
}
