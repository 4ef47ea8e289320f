import { setTimeout } from 'node:timers/promises'
import type pg from 'pg'
import { firstIdAt } from '../../../src/ids.ts'
import type { Asked } from '../child.ts'

/** Deliveries that are due, of events that nobody sequenced: what a dispatcher finds after an outage. */
export interface Backlog {
  tenantId: string
  endpointIds: readonly string[]
  /** To each endpoint. */
  each: number
  body: string
}

/** Writes a backlog in one transaction; answers when it was committed, in ms of `performance.now`. */
export async function fillBacklog(owner: pg.Client, backlogs: readonly Backlog[]): Promise<number> {
  await owner.query('begin')
  for (const { tenantId, endpointIds, each, body } of backlogs) {
    const now = Date.now()
    const [event, delivery] = [firstIdAt('evt', now), firstIdAt('whd', now)]
    const values = [tenantId, event.slice(0, 14), each, body, new Date(now).toISOString()]
    await owner.query(
      `insert into event (tenant_id, id, created_on, type, version, occurred_at, correlation_id, body)
        select $1, $2 || lpad(n::text, 16, '0'), $5::timestamptz at time zone 'utc', 'client.created',
          1, $5, 'bench', convert_to($4, 'utf8') from generate_series(1, $3::int) as n`,
      values,
    )
    await owner.query(
      `with made as (
        select $2 || lpad((n * 1000 + place)::text, 16, '0') as id, endpoint_id,
          $3 || lpad(n::text, 16, '0') as event_id, ($4::timestamptz at time zone 'utc')::date as day
        from generate_series(1, $5::int) as n, unnest($6::text[]) with ordinality as e (endpoint_id, place)
      ), due as (
        insert into delivery_due (tenant_id, endpoint_id, delivery_id, created_on, event_id,
          event_created_on, due_at, attempt_count, retry_count)
        select $1, endpoint_id, id, day, event_id, day, $4, 0, 0 from made order by id
      ), matched as (
        insert into webhook_matched as known (tenant_id, endpoint_id, day, matched)
        select $1, endpoint_id, day, count(*) from made group by endpoint_id, day
        on conflict (tenant_id, endpoint_id, day)
        do update set matched = known.matched + excluded.matched
      )
      insert into webhook_delivery (tenant_id, id, created_on, endpoint_id, event_id,
        event_created_on, event_type, status, attempt_count, created_at)
      select $1, id, day, endpoint_id, event_id, day, 'client.created', 'PENDING', 0, $4
      from made order by id`,
      [tenantId, delivery.slice(0, 14), event.slice(0, 14), values[4], each, endpointIds],
    )
  }
  await owner.query('commit')
  return performance.now()
}

interface Drained {
  tenantId: string
  /** All of the tenant unless told. */
  endpointIds?: readonly string[]
  total: number
}

/**
 * Waits until the receiver has had all of a backlog and nothing of it is due any more. Postgres is
 * asked at the end only: it has other things to do.
 */
export async function isDrained(
  owner: pg.Client,
  receiver: Asked,
  { tenantId, endpointIds, total }: Drained,
): Promise<void> {
  const sent = () => receiver.ask<{ count: number }>({ ask: 'counts' })
  while ((await sent()).count < total) await setTimeout(10)
  for (;;) {
    const { rows } = await owner.query(
      `select from delivery_due
        where tenant_id = $1 and ($2::text[] is null or endpoint_id = any($2)) limit 1`,
      [tenantId, endpointIds ?? null],
    )
    if (rows.length === 0) return
    await setTimeout(5)
  }
}

/** Writes events that wait for the sequencer, in one transaction; answers when it was committed. */
export async function fillPending(owner: pg.Client, tenantId: string, count: number, body: string) {
  const now = Date.now()
  await owner.query(
    `with made as (
      select $2 || lpad(n::text, 16, '0') as id, ($3::timestamptz at time zone 'utc')::date as day
      from generate_series(1, $4::int) as n
    ), pending as (
      insert into event_pending (tenant_id, event_id, created_on, type)
      select $1, id, day, 'client.created' from made order by id
    )
    insert into event (tenant_id, id, created_on, type, version, occurred_at, correlation_id, body)
    select $1, id, day, 'client.created', 1, $3, 'bench', convert_to($5, 'utf8') from made`,
    [tenantId, firstIdAt('evt', now).slice(0, 14), new Date(now).toISOString(), count, body],
  )
  return performance.now()
}

/** Waits until every event has its position. */
export async function isSequenced(owner: pg.Client): Promise<void> {
  for (;;) {
    const { rows } = await owner.query('select 1 from event_pending limit 1')
    if (rows.length === 0) return
    await setTimeout(5)
  }
}
