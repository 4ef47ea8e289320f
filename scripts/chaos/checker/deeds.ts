import { type Deed, entriesOf, makers, traces } from '../deed.ts'
import type { Ledger, Query, Report } from './finding.ts'

/** What one correlation id left in the log. */
interface Trace {
  correlation_id: string
  names: string[]
}

interface Kept {
  key: string
  status: number
  /** null where it is sealed, as it holds a secret. */
  body: string | null
}

/**
 * Each deed left its events, its audit entries and its kept reply exactly once if it was acknowledged,
 * and all of them or none if nobody knows; and what was answered is what is kept.
 */
export async function checkDeeds(query: Query, ledger: Ledger, report: Report): Promise<void> {
  const { tenantIds } = ledger
  const events = byCorrelation(await query<Trace>(eventsText, [tenantIds]))
  const audits = byCorrelation(await query<Trace>(auditsText, [tenantIds]))
  const kept = new Map((await query<Kept>(keptText, [tenantIds])).map((row) => [row.key, row]))
  for (const deed of [...ledger.deeds, ...ledger.changes]) {
    const found = { events: events.get(deed.key), audits: audits.get(deed.key) }
    checkDeed(deed, found, kept.get(deed.key), report)
  }
  await checkMade(query, ledger, report)
}

const eventsText = `
  select correlation_id, array_agg(type order by id) as names from event
  where tenant_id = any($1) group by correlation_id`

/** But what others did about the same deed: whoever called its job off, or was shown its secret again. */
const auditsText = `
  select correlation_id, array_agg(action order by id) as names from audit
  where tenant_id = any($1) and action not in ('job.cancelled', 'job.cancel_asked', 'secret.replayed')
  group by correlation_id`

const keptText = `
  select key, status, case when not is_sealed then convert_from(body, 'UTF8') end as body
  from idempotency where tenant_id = any($1)`

function byCorrelation(rows: readonly Trace[]): Map<string, string[]> {
  return new Map(rows.map(({ correlation_id, names }) => [correlation_id, names]))
}

function checkDeed(
  deed: Deed,
  { events = [], audits = [] }: { events: string[] | undefined; audits: string[] | undefined },
  kept: Kept | undefined,
  report: Report,
): void {
  const where = `${deed.operation} ${deed.key}`
  const isThere = kept !== undefined
  for (const [noun, names, due] of [
    ['events', events, traces[deed.operation]],
    ['audit entries', audits, entriesOf(deed.operation)],
  ] as const) {
    const wanted = [...due].sort().join()
    const got = [...names].sort().join()
    if (got === (isThere ? wanted : '')) continue
    if (names.length > due.length) report('DOUBLED', `its ${noun}: ${got}`, where)
    else if (deed.state === 'ACKNOWLEDGED') report('LOST', `its ${noun}: ${got || 'none'}`, where)
    else report('BROKEN', `half done: ${noun}: ${got || 'none'}, reply: ${isThere}`, where)
  }
  if (deed.contradictions > 0) report('DOUBLED', 'answered in two ways', where)
  if (deed.state === 'ASKED') report('LOST', 'never answered', where)
  if (deed.state === 'REFUSED' && !(deed.mayBeRefused && deed.answer?.status === 409)) {
    report('BROKEN', `refused: ${deed.answer?.status} ${deed.answer?.body}`, where)
  }
  if (deed.state !== 'ACKNOWLEDGED') return
  if (!isThere) report('LOST', 'its kept reply', where)
  else if (kept.status !== deed.answer?.status || isOther(kept.body, deed.answer.body)) {
    report('BROKEN', 'the kept reply is not what was answered', where)
  }
}

function isOther(kept: string | null, answered: string): boolean {
  return kept !== null && kept !== answered
}

/** What was said to be made is there, and everything that is there was told of once. */
async function checkMade(query: Query, ledger: Ledger, report: Report) {
  const { tenantIds } = ledger
  for (const [table, { operations, events }] of Object.entries(makers)) {
    const rows = await query<{ id: string; rows: number; told: number }>(madeText(table), [
      tenantIds,
      events,
    ])
    const there = new Set(rows.flatMap(({ id, rows: count }) => (count > 0 ? [id] : [])))
    for (const { id, rows: count, told } of rows) {
      if (count === 0) report('LOST', `a ${table} that was told of`, id)
      else if (told !== 1) report('BROKEN', `a ${table} that was told of ${told} times`, id)
    }
    for (const { operation, state, answer, key } of [...ledger.deeds, ...ledger.changes]) {
      if (state !== 'ACKNOWLEDGED' || !operations.some((name) => name === operation)) continue
      const { id } = JSON.parse(answer?.body ?? '{}') as { id: string }
      if (!there.has(id)) report('LOST', `the ${table} ${id}`, `${operation} ${key}`)
    }
  }
  for (const { id, what } of await query<{ id: string; what: string }>(statesText, [tenantIds])) {
    report('BROKEN', what, id)
  }
}

function madeText(table: string): string {
  return `
    select coalesce(made.id, told.id) as id, count(made.id)::int as rows,
      coalesce(max(told.times), 0)::int as told
    from (select id from ${table} where tenant_id = any($1)) as made
    full join (
      select convert_from(body, 'UTF8')::jsonb -> 'data' ->> 'id' as id, count(*) as times
      from event where tenant_id = any($1) and type = any($2) group by 1
    ) as told on told.id = made.id
    group by 1`
}

/** Rows whose state is not what the events say that happened to them. */
const statesText = `
  with told as materialized (
    select convert_from(body, 'UTF8')::jsonb -> 'data' ->> 'id' as id,
      count(*) filter (where type = 'client.updated') as updates,
      count(*) filter (where type = 'client.deleted') as deletions,
      count(*) filter (where type = 'webhook_endpoint.updated') as changes,
      count(*) filter (where type in
        ('proposal.sent', 'proposal.accepted', 'invoice.issued', 'invoice.paid')) as steps
    from event where tenant_id = any($1) group by 1
  ), money as materialized (
    select invoice_id, sum(amount) as paid from payment
    where tenant_id = any($1) and invoice_id is not null group by 1
  )
  select client.id, 'a client of revision ' || revision || ' and another number of changes' as what
  from client left join told on told.id = client.id
  where tenant_id = any($1) and revision <> 1 + coalesce(updates, 0)
  union all
  select client.id, 'a client that is deleted without having been told of, or the reverse'
  from client left join told on told.id = client.id
  where tenant_id = any($1) and (deleted_at is not null) <> (coalesce(deletions, 0) = 1)
  union all
  select endpoint.id, 'an endpoint of revision ' || revision || ' and another number of changes'
  from webhook_endpoint as endpoint left join told on told.id = endpoint.id
  where tenant_id = any($1) and revision <> 1 + coalesce(changes, 0)
  union all
  select proposal.id, 'a proposal that is ' || status || ' with other events'
  from proposal left join told on told.id = proposal.id
  where tenant_id = any($1)
    and case status when 'SENT' then 1 when 'ACCEPTED' then 2 else 0 end <> coalesce(steps, 0)
  union all
  select invoice.id, 'an invoice that is ' || status || ' with other events'
  from invoice left join told on told.id = invoice.id
  where tenant_id = any($1)
    and case status when 'OPEN' then 1 when 'PAID' then 2 else 0 end <> coalesce(steps, 0)
  union all
  select invoice.id, 'an invoice that is paid with other money'
  from invoice left join money on money.invoice_id = invoice.id
  where tenant_id = any($1) and amount_paid <> coalesce(paid, 0)
  union all
  select tenant_id, 'numbers of invoices with gaps'
  from invoice_counter where tenant_id = any($1) and issued <> (
    select count(distinct number) from invoice
    where invoice.tenant_id = invoice_counter.tenant_id and number is not null)`
