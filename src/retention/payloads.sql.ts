import type pg from 'pg'
import type { Context } from '#context.ts'
import { batchMax, eraseInBatches, isFree, unheld } from './erase.sql.ts'

type Worker = Pick<Context, 'db' | 'clock'>

/** Payloads of one kind, in a table with a partition for each day. */
interface Kind {
  table: 'event' | 'attempt' | 'webhook_delivery'
  /** Of the policy: how many days they are kept, and up to which day all are erased. */
  days: string
  mark: string
  payload: string
  key: string
  /** Rows of which nobody is still to be told. */
  isDone: string
}

const events: Kind = {
  table: 'event',
  days: 'policy.event_payload_days',
  mark: 'events_erased_to',
  payload: 'body',
  key: 'id',
  isDone: `not exists (select from delivery_due as due
      where due.tenant_id = old.tenant_id and due.event_id = old.id)
    and not exists (select from event_pending as pending
      where pending.tenant_id = old.tenant_id and pending.event_id = old.id)`,
}

const answers: Kind = {
  table: 'attempt',
  days: 'policy.delivery_payload_days',
  mark: 'answers_erased_to',
  payload: 'response_body',
  key: 'delivery_id, number',
  isDone: 'true',
}

const bodies: Kind = {
  table: 'webhook_delivery',
  days: 'policy.event_payload_days',
  mark: 'bodies_erased_to',
  payload: 'body',
  key: 'id',
  isDone: `not exists (select from delivery_due as due
    where due.tenant_id = old.tenant_id and due.delivery_id = old.id)`,
}

/**
 * Erases the payloads of events, by whole days, once the last event of the day is as old as the
 * tenant's policy says. An event of which somebody is still to be told keeps its own.
 */
export const eraseEvents = (ctx: Worker): Promise<void> => eraseKind(ctx, events)

/** Erases what endpoints answered, likewise; attempts are dated by their deliveries. */
export const eraseAnswers = (ctx: Worker): Promise<void> => eraseKind(ctx, answers)

/** Erases what was made of events for deliveries, as soon as the events' own. */
export const eraseMadeBodies = (ctx: Worker): Promise<void> => eraseKind(ctx, bodies)

async function eraseKind({ db, clock }: Worker, kind: Kind): Promise<void> {
  const now = clock.now()
  for (const day of await findDays(db.worker, kind, now)) {
    await eraseInBatches(db.worker, { text: eraseText(kind), values: [now, day] })
  }
  await unheld(db.worker, (client) => client.query({ text: moveText(kind), values: [now] }))
}

/** The first day, in UTC, of which something is younger than the policy's days at `$1`. */
const firstKept = ({ days }: Kind): string =>
  `(($1::timestamptz at time zone 'UTC')::date - ${days})`

/** The days in which a tenant has something to erase, as far as marks and policies tell. */
async function findDays(pool: pg.Pool, kind: Kind, now: Date): Promise<string[]> {
  const { rows } = await pool.query<{ day: string }>(
    `select to_char(day, 'YYYY-MM-DD') as day from pg_inherits
     join pg_class as child on child.oid = inhrelid
     cross join lateral to_date(substring(child.relname from '_([0-9]{8})$'), 'YYYYMMDD') as day
     where inhparent = '${kind.table}'::regclass and exists (
       select from retention_policy as policy
       where policy.${kind.mark} < day and day < ${firstKept(kind)} and ${isFree('policy')})
     order by 1`,
    [now],
  )
  return rows.map(({ day }) => day)
}

/** One day at a time, so that one partition is looked at, and tenant by tenant within it. */
function eraseText(kind: Kind): string {
  const { table, payload, key, mark, isDone } = kind
  return `
    update ${table} set ${payload} = null
    where created_on = $2::date and (tenant_id, ${key}) in (
      select old.* from retention_policy as policy cross join lateral (
        select tenant_id, ${key} from ${table} as old
        where old.tenant_id = policy.tenant_id and old.created_on = $2::date
          and old.${payload} is not null and ${isDone}
        limit ${batchMax}
      ) as old
      where policy.${mark} < $2::date and $2::date < ${firstKept(kind)} and ${isFree('policy')}
      limit ${batchMax})`
}

/**
 * Writes down up to which day all is erased, so that nobody looks there again. A day is not done while
 * a delivery of it is still to be made: its attempts are yet to come.
 */
function moveText(kind: Kind): string {
  const { table, payload, mark } = kind
  const inReach = (alias: string) => `${alias}.tenant_id = policy.tenant_id
    and ${alias}.created_on > policy.${mark} and ${alias}.created_on < ${firstKept(kind)}`
  return `
    update retention_policy as policy set ${mark} = done.day
    from (
      select policy.tenant_id, policy.${mark} as mark, least(
        ${firstKept(kind)},
        (select min(created_on) from ${table} as old
          where ${inReach('old')} and old.${payload} is not null),
        (select min(created_on) from delivery_due as due where ${inReach('due')})) - 1 as day
      from retention_policy as policy
      where policy.${mark} < ${firstKept(kind)} - 1 and ${isFree('policy')}
    ) as done
    where policy.tenant_id = done.tenant_id and policy.${mark} = done.mark and done.mark < done.day`
}
