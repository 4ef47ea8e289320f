import type { World } from '../../world.ts'

/**
 * Rows that record calls themselves, refused ones included, or that the worker makes of others in
 * its own time: what else a sweep of refusals leaves is a change. By table, the condition on those
 * rows; a test fails when one names no table.
 */
const recordsOfCalls: Readonly<Record<string, string>> = {
  // A refusal is not free.
  quota_spent: 'true',
  // Keys that were refused, and what was read; entries of changes have no details.
  audit: 'details is not null',
  // The chain that the entries are bound in.
  audit_chain: 'true',
  audit_head: 'true',
  audit_pending: 'true',
  // What was called, and the figures that come of it.
  request_log: 'true',
  api_call_minute: 'true',
  api_call_hour: 'true',
  api_call_progress: 'true',
  api_beat: 'true',
  // When keys were used, and how often in vain; an hour that stands out is told to endpoints.
  api_key_last_use: 'true',
  api_key_usage: 'true',
  api_security_event: 'hour is not null',
  event: `type = 'api_key.suspicious'`,
  event_pending: `type = 'api_key.suspicious'`,
  event_position: `type = 'api_key.suspicious'`,
  stream_head: 'true',
  webhook_delivery: `event_type = 'api_key.suspicious'`,
  webhook_matched: 'true',
  delivery_due: `delivery_id in (
    select id from webhook_delivery where event_type = 'api_key.suspicious')`,
  attempt: `delivery_id in (
    select id from webhook_delivery where event_type = 'api_key.suspicious')`,
  // What came of attempts, written down behind them.
  webhook_endpoint_health: 'true',
  webhook_metric: 'true',
  // And of what others send.
  inbound_metric: 'true',
}

/** Every table, partitioned ones as a whole. */
async function tablesOf({ query }: World): Promise<string[]> {
  const rows = await query<{ name: string }>(
    `select relname as name from pg_class where relnamespace = 'public'::regnamespace
     and relkind in ('r', 'p') and not relispartition order by 1`,
  )
  const names = rows.map(({ name }) => name)
  const unknown = Object.keys(recordsOfCalls).filter((name) => !names.includes(name))
  if (unknown.length > 0) throw new Error(`no table is named ${unknown.join(', ')}`)
  return names
}

export type Rows = ReadonlyMap<string, string>

/** All that the database holds, by table: how many rows, and a digest of them. */
export async function rowsOf(world: World): Promise<Rows> {
  const tables = await tablesOf(world)
  const parts = tables.map(
    (name) =>
      `select '${name}' as name, count(*) as count,
         sum(hashtextextended(t::text, 0))::text as digest
       from "${name}" as t where not (${recordsOfCalls[name] ?? 'false'})`,
  )
  const rows = await world.query<{ name: string; count: string; digest: string | null }>(
    parts.join(' union all '),
  )
  return new Map(rows.map(({ name, count, digest }) => [name, `${count} rows, ${digest}`]))
}

/** The tables whose rows are not what they were. */
export function changesBetween(before: Rows, after: Rows): string[] {
  return [...after]
    .filter(([name, digest]) => before.get(name) !== digest)
    .map(([name, digest]) => `table ${name} changed: ${before.get(name)} became ${digest}`)
}
