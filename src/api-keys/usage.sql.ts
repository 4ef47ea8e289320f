import type pg from 'pg'
import { build, type Db } from '#db/database.ts'
import { statement } from '#db/statement.ts'
import { flushWorker } from '#db/worker.ts'
import type { TenantId } from '#ids.ts'
import { dateOfDay, type Uses } from './tally.ts'

/** Rows written by one statement. */
const rowsMax = 5_000

/**
 * Adds uses of keys of any tenants to what is written down, all or none of them. Every process
 * writes in the same order, so that none waits for another in a circle.
 */
export async function addUses(pool: pg.Pool, uses: readonly Uses[]): Promise<void> {
  const statements = [
    ...inBatches(uses.flatMap(callRows)).map(addCalls),
    ...inBatches(latestOf(uses)).map(addLastUses),
  ]
  const client = await pool.connect()
  try {
    await flushWorker(client, 'both', statements)
    client.release()
  } catch (error) {
    // The connection goes with its transaction, whatever state that is in.
    client.release(true)
    throw error
  }
}

interface CallRow {
  tenantId: TenantId
  keyId: string
  usedOn: string
  operationId: string
  calls: number
}

function callRows({ tenantId, keyId, day, calls }: Uses): CallRow[] {
  const usedOn = dateOfDay(day)
  return Array.from(calls, ([operationId, count]) => {
    return { tenantId, keyId, usedOn, operationId, calls: count }
  })
}

/** One row cannot be updated twice by one statement: of a key's days the last one counts. */
function latestOf(uses: readonly Uses[]): Uses[] {
  const latest = new Map<string, Uses>()
  for (const one of [...uses].sort((a, b) => a.day - b.day)) {
    const before = latest.get(one.keyId)
    const previousSecretAt = one.previousSecretAt ?? before?.previousSecretAt ?? null
    latest.set(one.keyId, { ...one, previousSecretAt })
  }
  return [...latest.values()]
}

function addCalls(rows: readonly CallRow[]): pg.QueryConfig {
  return {
    text: `
      insert into api_key_usage as known (tenant_id, api_key_id, used_on, operation_id, calls)
      select * from unnest($1::text[], $2::text[], $3::date[], $4::text[], $5::bigint[])
        as added (tenant_id, api_key_id, used_on, operation_id, calls)
      on conflict (tenant_id, api_key_id, used_on, operation_id)
        do update set calls = known.calls + excluded.calls`,
    values: [
      rows.map((row) => row.tenantId),
      rows.map((row) => row.keyId),
      rows.map((row) => row.usedOn),
      rows.map((row) => row.operationId),
      rows.map((row) => row.calls),
    ],
  }
}

function addLastUses(rows: readonly Uses[]): pg.QueryConfig {
  return {
    text: `
      insert into api_key_last_use as known
        (tenant_id, api_key_id, used_at, ip, previous_secret_used_at)
      select * from unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[], $5::timestamptz[])
        as added (tenant_id, api_key_id, used_at, ip, previous_secret_used_at)
      on conflict (tenant_id, api_key_id) do update set
        used_at = greatest(known.used_at, excluded.used_at),
        ip = case when excluded.used_at >= known.used_at then excluded.ip else known.ip end,
        previous_secret_used_at =
          greatest(known.previous_secret_used_at, excluded.previous_secret_used_at)`,
    values: [
      rows.map((row) => row.tenantId),
      rows.map((row) => row.keyId),
      rows.map((row) => row.lastAt.toISOString()),
      rows.map((row) => row.lastIp),
      rows.map((row) => row.previousSecretAt?.toISOString() ?? null),
    ],
  }
}

/** In an order that is the same in every process. */
function inBatches<Row extends { tenantId: string; keyId: string }>(rows: readonly Row[]): Row[][] {
  const sorted = [...rows].sort((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1))
  const batches: Row[][] = []
  for (let at = 0; at < sorted.length; at += rowsMax) batches.push(sorted.slice(at, at + rowsMax))
  return batches
}

function orderOf(row: { tenantId: string; keyId: string; usedOn?: string; operationId?: string }) {
  return `${row.tenantId} ${row.keyId} ${row.usedOn} ${row.operationId}`
}

interface Span {
  tenantId: TenantId
  keyId: string
  since: string
}

/** How often a key was used on each day since then, the earliest first. */
export async function countByDay(db: Db, span: Span): Promise<{ date: string; calls: number }[]> {
  const { rows } = await db.executeQuery<{ date: string; calls: string }>(callsByDay.bind(span))
  return rows.map(({ date, calls }) => ({ date, calls: Number(calls) }))
}

const callsByDay = statement('api_key_usage_by_day', (a: Span) =>
  usageSince(a)
    .select((column) => ['used_on as date', column.fn.sum<string>('calls').as('calls')])
    .groupBy('used_on')
    .orderBy('used_on'),
)

/** How often a key called each operation since then, the most frequent first. */
export async function countByOperation(
  db: Db,
  span: Span,
): Promise<{ operationId: string; calls: number; lastUsedOn: string }[]> {
  const { rows } = await db.executeQuery<CallsByOperation>(callsByOperation.bind(span))
  return rows.map((row) => ({ ...row, calls: Number(row.calls) }))
}

interface CallsByOperation {
  operationId: string
  calls: string
  lastUsedOn: string
}

const callsByOperation = statement('api_key_usage_by_operation', (a: Span) =>
  usageSince(a)
    .select((column) => [
      'operation_id as operationId',
      column.fn.sum<string>('calls').as('calls'),
      column.fn.max('used_on').as('lastUsedOn'),
    ])
    .groupBy('operation_id')
    .orderBy('calls', 'desc')
    .orderBy('operation_id'),
)

function usageSince(a: Span) {
  return build
    .selectFrom('api_key_usage')
    .where('tenant_id', '=', a.tenantId)
    .where('api_key_id', '=', a.keyId)
    .where('used_on', '>=', a.since)
}
