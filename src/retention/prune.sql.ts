import type { Context } from '#context.ts'
import { idempotencyKeyTtlMs } from '#db/envelope.ts'

/** Rows taken at once, so that no statement holds locks for long. */
export const batchMax = 5_000

/** Makes the partitions from yesterday to seven days ahead that are missing. */
export async function makePartitions({ db, clock, log }: Context): Promise<void> {
  const yesterday = new Date(clock.now().getTime() - 24 * 60 * 60 * 1_000)
  const { rows } = await db.worker.query<{ made: number }>(
    'select ubos_make_partitions($1::date, 9) as made',
    [yesterday.toISOString().slice(0, 10)],
  )
  if (rows[0]?.made) log.info({ made: rows[0].made }, 'partitions made')
}

/** Forgets the replies whose keys are older than a day. */
export async function pruneReplies({ db, clock }: Context): Promise<void> {
  const before = new Date(clock.now().getTime() - idempotencyKeyTtlMs)
  await inBatches(db.worker, {
    text: `
      delete from idempotency where (tenant_id, key) in (
        select tenant_id, key from idempotency where created_at <= $1 limit ${batchMax})`,
    values: [before],
  })
}

/** Forgets the key changes that every process has long seen. */
export async function pruneKeyChanges({ db, clock }: Context): Promise<void> {
  const before = new Date(clock.now().getTime() - 60 * 60 * 1_000)
  await inBatches(db.worker, {
    text: `
      delete from key_change where position in (
        select position from key_change where changed_at <= $1 limit ${batchMax})`,
    values: [before],
  })
}

/** Forgets what nobody has anything left to pay off. */
export async function pruneQuotas({ db, clock }: Context): Promise<void> {
  await inBatches(db.worker, {
    text: `
      delete from quota_spent where (tenant_id, bucket) in (
        select tenant_id, bucket from quota_spent where arrival_ms <= $1 limit ${batchMax})`,
    values: [clock.now().getTime() - 60 * 60 * 1_000],
  })
}

const dayMs = 24 * 60 * 60 * 1_000

/** What keys did is counted for 90 days; what happened around them is kept as long as the audit. */
const keyDays = { usage: 90, securityEvents: 400 }

/** Forgets what keys did and what happened around them, once it is old. */
export async function pruneKeyRecords({ db, clock }: Context): Promise<void> {
  const before = (days: number) => new Date(clock.now().getTime() - days * dayMs)
  await inBatches(db.worker, {
    text: `
      delete from api_key_usage where ctid in (
        select ctid from api_key_usage where used_on <= $1::date limit ${batchMax})`,
    values: [before(keyDays.usage).toISOString().slice(0, 10)],
  })
  await inBatches(db.worker, {
    text: `
      delete from api_security_event where (tenant_id, id) in (
        select tenant_id, id from api_security_event where occurred_at <= $1 limit ${batchMax})`,
    values: [before(keyDays.securityEvents)],
  })
}

/** Runs a statement that takes `batchMax` rows at most until it finds fewer. */
export async function inBatches(
  pool: Context['db']['worker'],
  statement: { text: string; values: unknown[] },
): Promise<void> {
  for (;;) {
    const { rowCount } = await pool.query(statement)
    if ((rowCount ?? 0) < batchMax) return
  }
}
