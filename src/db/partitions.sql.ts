import pg from 'pg'
import type { Context } from '#context.ts'

const dayMs = 24 * 60 * 60 * 1_000

/** Makes the partitions from yesterday to seven days ahead that are missing; answers how many. */
export async function makePartitions({
  db,
  clock,
}: Pick<Context, 'db' | 'clock'>): Promise<number> {
  const yesterday = new Date(clock.now().getTime() - dayMs)
  const { rows } = await db.worker.query<{ made: number }>(
    'select ubos_make_partitions($1::date, 9) as made',
    [yesterday.toISOString().slice(0, 10)],
  )
  return rows[0]?.made ?? 0
}

/** Whether a row found no partition for its day: Postgres names no constraint then. */
export function isPartitionMissing(error: unknown): boolean {
  return (
    error instanceof pg.DatabaseError && error.code === '23514' && error.constraint === undefined
  )
}
