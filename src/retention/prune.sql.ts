import type { Context } from '#context.ts'
import { idempotencyKeyTtlMs } from '#db/envelope.ts'
import { dayOf, firstIdAt } from '#ids.ts'
import { batchMax, eraseInBatches, inBatches, isFree } from './erase.sql.ts'

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
  await eraseInBatches(db.worker, {
    text: `
      delete from api_security_event where (tenant_id, id) in (
        select tenant_id, id from api_security_event as event
        where occurred_at <= $1 and ${isFree('event')} limit ${batchMax})`,
    values: [before(keyDays.securityEvents)],
  })
}

/** Before it no event may be gone, so that nobody looks there. */
const eventDays = 90

/** Forgets the places in the stream of events that are gone. */
export async function prunePositions({ db, clock }: Context): Promise<void> {
  const bound = firstIdAt('evt', clock.now().getTime() - eventDays * dayMs)
  await eraseInBatches(db.worker, {
    text: `
      delete from event_position where (tenant_id, position) in (
        select old.tenant_id, old.position from tenant cross join lateral (
          select place.tenant_id, place.position from event_position as place
          where place.tenant_id = tenant.tenant_id and place.event_id < $1
            and not exists (select from event
              where event.tenant_id = place.tenant_id and event.id = place.event_id
                and event.created_on = place.created_on
                and event.id < $1 and event.created_on <= $2::date)
          limit ${batchMax}
        ) as old
        where ${isFree('tenant')} limit ${batchMax})`,
    values: [bound, dayOf(bound)],
  })
}

/** Forgets how far replays were of which nothing has come for as long as what they replay is kept. */
export async function pruneReplays({ db, clock }: Context): Promise<void> {
  await inBatches(db.worker, {
    text: `
      delete from webhook_replay where (tenant_id, job_id) in (
        select tenant_id, job_id from webhook_replay where updated_at <= $1 limit ${batchMax})`,
    values: [new Date(clock.now().getTime() - replayDays * dayMs)],
  })
}

const replayDays = 30

/** For how many days a finished job is kept where the tenant did not say. */
const jobDays = 14

/** Forgets finished jobs, as their tenants' policies say. */
export async function pruneJobs({ db, clock }: Context): Promise<void> {
  const now = clock.now()
  await eraseInBatches(db.worker, {
    text: `
      delete from job where (tenant_id, id) in (
        select tenant_id, id from job as old
        where finished_at <= $1 and ${isFree('old')}
          and not exists (select from retention_policy as policy where policy.tenant_id = old.tenant_id)
        limit ${batchMax})`,
    values: [new Date(now.getTime() - jobDays * dayMs)],
  })
  await eraseInBatches(db.worker, {
    text: `
      delete from job where (tenant_id, id) in (
        select old.tenant_id, old.id from retention_policy as policy cross join lateral (
          select tenant_id, id from job
          where job.tenant_id = policy.tenant_id and status in ('SUCCEEDED', 'FAILED', 'CANCELLED')
            and finished_at <= $1::timestamptz - policy.jobs_days * interval '24 hours'
          limit ${batchMax}
        ) as old
        where ${isFree('policy')} limit ${batchMax})`,
    values: [now],
  })
}
