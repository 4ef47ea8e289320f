import type pg from 'pg'
import { flushQueue } from '#db/worker.ts'
import { isPresent } from '#jobs/presence.ts'

/** The workers that hold leases of deliveries and are not present. */
export async function findAbsentSenders(pool: pg.Pool): Promise<string[]> {
  const [result] = await flushQueue<{ id: string }>(pool, [
    {
      name: 'absent_senders',
      text: `
      select distinct split_part(lease_token, '.', 1) as id from delivery_due
      where lease_token is not null and leased_until > clock_timestamp()
        and not ${isPresent("split_part(lease_token, '.', 1)")}`,
    },
  ])
  return result?.rows.map(({ id }) => id) ?? []
}

/** Ends the leases of workers that are gone: their deliveries are due again at once. */
export async function endLeasesOf(pool: pg.Pool, workerIds: readonly string[]): Promise<void> {
  await flushQueue(pool, [
    {
      name: 'end_leases',
      text: `
      update delivery_due set leased_until = clock_timestamp()
      where lease_token is not null and leased_until > clock_timestamp()
        and split_part(lease_token, '.', 1) = any($1)`,
      values: [workerIds],
    },
  ])
}
