import type pg from 'pg'
import { presenceLock } from '#jobs/presence.ts'

/** A lease token: which worker, and which of its claims. */
export function leaseToken(workerId: number, random: Buffer): string {
  return `${workerId}.${random.toString('base64url')}`
}

/** The workers that hold leases and are not present. */
export async function findAbsentWorkers(pool: pg.Pool): Promise<string[]> {
  const { rows } = await pool.query<{ id: string }>({
    name: 'absent_workers',
    text: `
      select distinct split_part(lease_token, '.', 1) as id from delivery_due
      where lease_token is not null and leased_until > clock_timestamp()
        and split_part(lease_token, '.', 1) not in (
          select objid::bigint::text from pg_locks
          where locktype = 'advisory' and granted and classid = $1
            and database = (select oid from pg_database where datname = current_database()))`,
    values: [presenceLock],
  })
  return rows.map(({ id }) => id)
}

/** Ends the leases of workers that are gone: their deliveries are due again at once. */
export async function endLeasesOf(pool: pg.Pool, workerIds: readonly string[]): Promise<void> {
  await pool.query({
    name: 'end_leases',
    text: `
      update delivery_due set leased_until = clock_timestamp()
      where lease_token is not null and leased_until > clock_timestamp()
        and split_part(lease_token, '.', 1) = any($1)`,
    values: [workerIds],
  })
}
