import type { IdPrefix } from '#ids.ts'
import { firstIdAt, type Id } from '#ids.ts'
import { tenantOf } from '../events/fixture.ts'
import type { Api, World } from '../world.ts'

const dayMs = 24 * 60 * 60 * 1_000

/** Noon of the UTC day so many days ago. */
export function noonAgo(days: number): Date {
  const today = Math.floor(Date.now() / dayMs) * dayMs
  return new Date(today - days * dayMs + dayMs / 2)
}

/** That day as the partitions know it. */
export const dayAgo = (days: number): string => noonAgo(days).toISOString().slice(0, 10)

let made = 0
/** A new id of something that was made then. */
export function idAgo<Prefix extends IdPrefix>(prefix: Prefix, days: number): Id<Prefix> {
  made += 1
  return firstIdAt(prefix, noonAgo(days).getTime() + made)
}

/** Makes the partitions of a day that is gone. */
export async function makeDay({ query }: World, days: number): Promise<void> {
  await query('select ubos_make_partitions($1::date, 1)', [dayAgo(days)])
}

/** Whether a table has a partition for a day. */
export async function hasDay({ query }: World, table: string, days: number): Promise<boolean> {
  const name = `${table}_${dayAgo(days).replaceAll('-', '')}`
  const [row] = await query<{ there: boolean }>('select to_regclass($1) is not null as there', [
    name,
  ])
  return row?.there ?? false
}

/** An event of those days, as if it had been published and sequenced then. */
export async function anOldEvent(world: World, api: Api, days: number): Promise<string> {
  const [tenantId, id, at] = [await tenantOf(api), idAgo('evt', days), noonAgo(days)]
  const [type, data] = ['client.created', { id: idAgo('cli', days), name: 'Ada' }]
  const body = JSON.stringify({ id, type, version: 1, timestamp: at.toISOString(), data })
  await makeDay(world, days)
  await world.query(
    `insert into event (tenant_id, id, created_on, type, version, occurred_at, correlation_id, body)
     values ($1, $2, $3, $4, 1, $5, 'then', convert_to($6, 'UTF8'))`,
    [tenantId, id, dayAgo(days), type, at, body],
  )
  await world.query(
    `with head as (
       update stream_head set position = position + 1 where tenant_id = $1 returning position)
     insert into event_position (tenant_id, position, event_id, created_on, type)
     select $1, position, $2, $3, $4 from head`,
    [tenantId, id, dayAgo(days), type],
  )
  return id
}

export interface OldDelivery {
  endpointId: string
  eventId: string
  /** Still to be made; else it was delivered. */
  isDue?: boolean
  eventDays?: number
}

/** A delivery of those days, with one attempt that was answered. */
export async function anOldDelivery(
  world: World,
  api: Api,
  days: number,
  { endpointId, eventId, isDue = false, eventDays = days }: OldDelivery,
): Promise<string> {
  const [tenantId, id, at] = [await tenantOf(api), idAgo('whd', days), noonAgo(days)]
  await makeDay(world, days)
  await world.query(
    `insert into webhook_delivery (tenant_id, id, created_on, endpoint_id, event_id,
       event_created_on, event_type, status, attempt_count, created_at)
     values ($1, $2, $3, $4, $5, $6, 'client.created', $7, 1, $8)`,
    [tenantId, id, dayAgo(days), endpointId, eventId, dayAgo(eventDays), ...statusOf(isDue), at],
  )
  await world.query(
    `insert into attempt (tenant_id, id, created_on, delivery_id, number, started_at, duration_ms,
       outcome, response_status, response_body)
     values ($1, $2, $3, $4, 1, $5, 3, 'REFUSED', 500, 'what it answered')`,
    [tenantId, idAgo('att', days), dayAgo(days), id, at],
  )
  if (isDue) {
    await world.query(
      `insert into delivery_due (tenant_id, endpoint_id, delivery_id, created_on, event_id,
         event_created_on, due_at, attempt_count, retry_count)
       values ($1, $2, $3, $4, $5, $6, $7, 1, 1)`,
      [tenantId, endpointId, id, dayAgo(days), eventId, dayAgo(eventDays), at],
    )
  }
  return id
}

const statusOf = (isDue: boolean) => [isDue ? 'PENDING' : 'DELIVERED']

/** An entry of the audit of those days; it waits to be chained. */
export async function anOldEntry(world: World, api: Api, days: number): Promise<string> {
  const [tenantId, id] = [await tenantOf(api), idAgo('aud', days)]
  await makeDay(world, days)
  await world.query(
    `insert into audit (tenant_id, id, created_on, occurred_at, action, resource_id, actor_type,
       actor_id, request_id, correlation_id)
     values ($1, $2, $3, $4, 'client.created', 'cli_then', 'SYSTEM', 'then', 'req_then', 'then')`,
    [tenantId, id, dayAgo(days), noonAgo(days)],
  )
  await world.query('insert into audit_pending values ($1, $2, $3)', [tenantId, id, dayAgo(days)])
  return id
}

/** A call of those days, with bodies. */
export async function anOldCall(world: World, api: Api, days: number): Promise<string> {
  const [tenantId, id] = [await tenantOf(api), idAgo('req', days)]
  await makeDay(world, days)
  await world.query(
    `insert into request_log (tenant_id, id, created_on, occurred_at, method, path, status,
       duration_ms, request_bytes, response_bytes, is_limited, is_replay, correlation_id,
       left_out_before, request_body, response_body)
     values ($1, $2, $3, $4, 'GET', '/api/v1/me', 200, 1, 0, 0, false, false, 'then', 0, '1', '2')`,
    [tenantId, id, dayAgo(days), noonAgo(days)],
  )
  return id
}

/** How many rows of a table a tenant has from a day. */
export async function countOf(
  world: World,
  table: string,
  api: Api,
  days: number,
): Promise<number> {
  const [row] = await world.query<{ count: number }>(
    `select count(*)::int as count from ${table} where tenant_id = $1 and created_on = $2`,
    [await tenantOf(api), dayAgo(days)],
  )
  return row?.count ?? 0
}

/** Where the operator holds everything of the tenant that a key opens. */
export async function holdPathOf(world: World, api: Api): Promise<string> {
  const tenantId = await tenantOf(api)
  const [row] = await world.query<{ id: string }>(
    'select id from organization where $1 in (production_tenant_id, sandbox_tenant_id)',
    [tenantId],
  )
  return `/api/v1/organizations/${row?.id}/tenants/${tenantId}/legal-hold`
}
