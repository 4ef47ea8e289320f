import type pg from 'pg'
import type { TenantId } from '#ids.ts'

/**
 * The *envelope* is what every call writes beside its own rows: events with their pending rows,
 * audit entries, and the reply kept for the call's idempotency key. One text for all operations.
 */
export interface Envelope {
  events: EventRow[]
  audits: AuditRow[]
  /** Whether jobs were queued, which the workers are told of after the commit. */
  hasJobs: boolean
}

export interface EventRow {
  id: string
  createdOn: string
  type: string
  version: number
  occurredAt: Date
  correlationId: string
  traceparent: string | null
  /** The bytes that are stored, signed and sent. */
  body: string
  /** The only endpoint that the event is for; null is all. */
  endpointId: string | null
}

export interface AuditRow {
  id: string
  createdOn: string
  occurredAt: Date
  action: string
  resourceId: string | null
  actorType: string
  actorId: string
  requestId: string
  correlationId: string
  ip: string | null
  before: string | null
  after: string | null
}

/** A reply as it is kept for its key. */
export interface StoredReply {
  status: number
  headers: Record<string, string>
  body: Buffer
  isSealed: boolean
}

const eventsAndAudit = `
event_rows as (
  insert into event
    (tenant_id, id, created_on, type, version, occurred_at, correlation_id, traceparent, body)
  select $1, id, created_on, type, version, occurred_at, correlation_id, traceparent,
    convert_to(body, 'UTF8')
  from unnest($2::text[], $3::date[], $4::text[], $5::int[], $6::timestamptz[], $7::text[],
    $8::text[], $9::text[])
    as e (id, created_on, type, version, occurred_at, correlation_id, traceparent, body)
), pending_rows as (
  insert into event_pending (tenant_id, event_id, created_on, type, endpoint_id)
  select $1, id, created_on, type, endpoint_id
  from unnest($2::text[], $3::date[], $4::text[], $10::text[])
    as e (id, created_on, type, endpoint_id)
), audit_rows as (
  insert into audit (tenant_id, id, created_on, occurred_at, action, resource_id, actor_type,
    actor_id, request_id, correlation_id, ip, before, after)
  select $1, id, created_on, occurred_at, action, resource_id, actor_type,
    actor_id, request_id, correlation_id, ip, before::jsonb, after::jsonb
  from unnest($11::text[], $12::date[], $13::timestamptz[], $14::text[], $15::text[], $16::text[],
    $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::text[])
    as a (id, created_on, occurred_at, action, resource_id, actor_type,
      actor_id, request_id, correlation_id, ip, before, after)
), audit_pending_rows as (
  insert into audit_pending (tenant_id, audit_id, created_on)
  select $1, id, created_on from unnest($11::text[], $12::date[]) as p (id, created_on)
)`

/** A key that a live row holds is a clash; a row older than the cut-off is taken over. */
const reply = `
reply_row as (
  insert into idempotency
    (tenant_id, key, fingerprint, status, headers, body, is_sealed, created_at)
  values ($1, $23, $24, $25, $26, $27, $28, $29)
  on conflict (tenant_id, key) do update
    set fingerprint = excluded.fingerprint, status = excluded.status, headers = excluded.headers,
      body = excluded.body, is_sealed = excluded.is_sealed, created_at = excluded.created_at
    where idempotency.created_at <= $30
  returning 1
)
select case when (select count(*) from reply_row) = 1 then 1
  else ubos_raise('idempotency_key_reused') end`

const withoutReply = `with ${eventsAndAudit} select 1`
const withReply = `with ${eventsAndAudit}, ${reply}`

/** Clients retry for at most a day; after that a repeated key is a new request. */
export const idempotencyKeyTtlMs = 24 * 60 * 60 * 1000

function columns(tenantId: TenantId, { events, audits }: Envelope): unknown[] {
  return [
    tenantId,
    events.map((event) => event.id),
    events.map((event) => event.createdOn),
    events.map((event) => event.type),
    events.map((event) => event.version),
    events.map((event) => event.occurredAt.toISOString()),
    events.map((event) => event.correlationId),
    events.map((event) => event.traceparent),
    events.map((event) => event.body),
    events.map((event) => event.endpointId),
    audits.map((entry) => entry.id),
    audits.map((entry) => entry.createdOn),
    audits.map((entry) => entry.occurredAt.toISOString()),
    audits.map((entry) => entry.action),
    audits.map((entry) => entry.resourceId),
    audits.map((entry) => entry.actorType),
    audits.map((entry) => entry.actorId),
    audits.map((entry) => entry.requestId),
    audits.map((entry) => entry.correlationId),
    audits.map((entry) => entry.ip),
    audits.map((entry) => entry.before),
    audits.map((entry) => entry.after),
  ]
}

/** The envelope as one named statement; undefined when there is nothing to write. */
export function envelopeStatement(
  tenantId: TenantId,
  envelope: Envelope,
  kept?: { key: string; fingerprint: Buffer; reply: StoredReply; now: Date },
): pg.QueryConfig | undefined {
  const values = columns(tenantId, envelope)
  if (kept === undefined) {
    if (envelope.events.length === 0 && envelope.audits.length === 0) return undefined
    return { name: 'envelope', text: withoutReply, values }
  }
  const { status, headers, body, isSealed } = kept.reply
  values.push(kept.key, kept.fingerprint, status, JSON.stringify(headers), body, isSealed)
  values.push(kept.now.toISOString())
  values.push(new Date(kept.now.getTime() - idempotencyKeyTtlMs).toISOString())
  return { name: 'envelope_with_reply', text: withReply, values }
}
