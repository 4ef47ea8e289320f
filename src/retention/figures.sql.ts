import type { Context } from '#context.ts'
import { figurePrune } from '#figures/prune.sql.ts'
import { batchMax, eraseInBatches, inBatches, isFree } from './erase.sql.ts'

const hourMs = 60 * 60 * 1_000
const dayMs = 24 * hourMs

/** For how long figures are kept: minutes, hours, and the beats that uptime is computed from. */
export const keptForMs = { minutes: 48 * hourMs, hours: 400 * dayMs, beats: 35 * dayMs }

type Worker = Pick<Context, 'db' | 'clock'>

/** Forgets minutes that are old and in an hour; a minute that is in none stays until it is. */
export async function pruneCallMinutes({ db, clock }: Worker): Promise<void> {
  await inBatches(db.worker, {
    text: `
      delete from api_call_minute
      where (tenant_id, minute, operation_id, api_key_id, process_id) in (
        select tenant_id, minute, operation_id, api_key_id, process_id from api_call_minute
        where minute < $1 and minute < (select rolled_until from api_call_progress)
        limit ${batchMax})`,
    values: [new Date(clock.now().getTime() - keptForMs.minutes)],
  })
}

export async function pruneCallHours({ db, clock }: Worker): Promise<void> {
  await inBatches(db.worker, {
    text: `
      delete from api_call_hour where (tenant_id, hour, operation_id, api_key_id) in (
        select tenant_id, hour, operation_id, api_key_id from api_call_hour
        where hour < $1 limit ${batchMax})`,
    values: [new Date(clock.now().getTime() - keptForMs.hours)],
  })
}

/** Forgets what webhooks both ways added up to. */
export async function pruneMetrics({ db, clock }: Worker): Promise<void> {
  for (const table of ['webhook_metric', 'inbound_metric'] as const) {
    await inBatches(db.worker, figurePrune(table, clock.now(), batchMax))
  }
}

/** Forgets old beats but for the first, since which minutes without one count as down. */
export async function pruneBeats({ db, clock }: Worker): Promise<void> {
  await inBatches(db.worker, {
    text: `
      delete from api_beat where (minute, process_id) in (
        select minute, process_id from api_beat
        where minute < $1 and minute > (select min(minute) from api_beat where is_alive)
        limit ${batchMax})`,
    values: [new Date(clock.now().getTime() - keptForMs.beats)],
  })
}

/** Erases bodies that are older than their tenant's policy says, by whole days. */
export async function eraseBodies({ db, clock }: Worker): Promise<void> {
  await eraseInBatches(db.worker, {
    text: `
      update request_log as log set request_body = null, response_body = null
      from (
        select old.tenant_id, old.id, old.created_on
        from request_log_policy as policy
        join request_log as old on old.tenant_id = policy.tenant_id
          and old.created_on <= ($1::timestamptz at time zone 'UTC')::date - policy.retention_days
          and (old.request_body is not null or old.response_body is not null)
        where old.occurred_at <= $1::timestamptz - policy.retention_days * interval '24 hours'
          and ${isFree('policy')}
        limit ${batchMax}
      ) as old
      where log.tenant_id = old.tenant_id and log.id = old.id and log.created_on = old.created_on`,
    values: [clock.now()],
  })
}
