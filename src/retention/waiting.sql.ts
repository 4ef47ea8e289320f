import type { Context } from '#context.ts'
import { waitDaysMax } from '#webhooks/delivery.ts'
import { batchMax, inBatches } from './erase.sql.ts'

const dayMs = 24 * 60 * 60 * 1_000

/** Cancels deliveries that have waited too long, and those whose event has lost its payload. */
export async function endLongWaits({ db, clock }: Context): Promise<void> {
  const now = clock.now()
  const lastDay = new Date(now.getTime() - waitDaysMax * dayMs)
  await inBatches(db.worker, {
    text: `
      with overdue as (
        select tenant_id, endpoint_id, delivery_id from delivery_due as due
        where (lease_token is null or leased_until <= clock_timestamp())
          and (created_on < $1::date or (event_created_on < $2::date and coalesce((
            select event.body is null from event
            where event.tenant_id = due.tenant_id and event.id = due.event_id
              and event.created_on = due.event_created_on), true)))
        limit ${batchMax} for update skip locked
      ), withdrawn as (
        delete from delivery_due as due using overdue
        where due.tenant_id = overdue.tenant_id and due.endpoint_id = overdue.endpoint_id
          and due.delivery_id = overdue.delivery_id
        returning due.tenant_id, due.delivery_id, due.created_on
      ), cancelled as (
        update webhook_delivery as delivery set status = 'CANCELLED' from withdrawn
        where delivery.tenant_id = withdrawn.tenant_id and delivery.id = withdrawn.delivery_id
          and delivery.created_on = withdrawn.created_on
      )
      select from withdrawn`,
    values: [lastDay, now].map((day) => day.toISOString().slice(0, 10)),
  })
}
