import type pg from 'pg'
import type { ChainedEntry } from './chain.ts'

/** An entry as it is hashed, from a row of `audit` called `entry`. */
export const entryColumns = `
  entry.tenant_id as "tenantId", entry.id, to_char(entry.created_on, 'YYYY-MM-DD') as "createdOn",
  to_char(entry.occurred_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as "occurredAt",
  entry.action, entry.resource_id as "resourceId", entry.actor_type as "actorType",
  entry.actor_id as "actorId", entry.request_id as "requestId",
  entry.correlation_id as "correlationId", entry.ip, entry.before, entry.after, entry.details`

/** A tenant with pending entries; without a position when its head is in other hands. */
export interface Turn {
  tenant_id: string
  has_head: boolean
  position: string | null
  hash: Buffer | null
}

/** The next tenants with pending entries, from tenant to tenant by the index, and their heads. */
export function takeTurns(after: string, tenantsMax: number): pg.QueryConfig {
  return {
    name: 'audit_take_turns',
    text: `
      with recursive waiting (tenant_id) as (
        (select tenant_id from audit_pending where tenant_id > $1 order by tenant_id limit 1)
        union all
        select (select pending.tenant_id from audit_pending as pending
          where pending.tenant_id > waiting.tenant_id order by pending.tenant_id limit 1)
        from waiting where waiting.tenant_id is not null
      ), turns as materialized (
        select tenant_id from waiting where tenant_id is not null limit $2
      )
      select turns.tenant_id, head.position, head.hash,
        exists (select from audit_head where tenant_id = turns.tenant_id) as has_head
      from turns left join lateral (
        select position, hash from audit_head
        where audit_head.tenant_id = turns.tenant_id for update skip locked
      ) as head on true
      order by turns.tenant_id`,
    values: [after, tenantsMax],
  }
}

/** Chains begin when a tenant has its first entry. */
export function beginChains(tenantIds: readonly string[], genesis: Buffer): pg.QueryConfig {
  return {
    name: 'audit_begin_chains',
    text: `
      insert into audit_head (tenant_id, position, hash, anchored_position)
      select tenant_id, 0, $2, 0 from unnest($1::text[]) as t (tenant_id)
      on conflict do nothing`,
    values: [tenantIds, genesis],
  }
}

export interface LastLink {
  tenant_id: string
  position: string
  hash: Buffer
}

/** Where chains really end: asked once their heads are held, or it might be an older end. */
export function lastLinks(tenantIds: readonly string[]): pg.QueryConfig {
  return {
    name: 'audit_last_links',
    text: `
      select last.* from unnest($1::text[]) as turn (tenant_id)
      cross join lateral (
        select tenant_id, position, hash from audit_chain
        where audit_chain.tenant_id = turn.tenant_id order by position desc limit 1
      ) as last`,
    values: [tenantIds],
  }
}

/** A fair share of each tenant's pending entries, oldest first. */
export function pendingEntries(tenantIds: readonly string[], share: number): pg.QueryConfig {
  return {
    name: 'audit_pending_entries',
    text: `
      select ${entryColumns} from unnest($1::text[]) as turn (tenant_id)
      cross join lateral (
        select audit.* from audit_pending as pending
        join audit on audit.tenant_id = pending.tenant_id and audit.id = pending.audit_id
          and audit.created_on = pending.created_on
        where pending.tenant_id = turn.tenant_id
        order by pending.audit_id limit $2
      ) as entry`,
    values: [tenantIds, share],
  }
}

export interface Link {
  entry: ChainedEntry
  position: number
  hash: Buffer
}

/** Writes the links, moves the heads on, and takes the entries off the pending ones. */
export function appendLinks(links: readonly Link[], form: number): pg.QueryConfig[] {
  const last = new Map(links.map((link) => [link.entry.tenantId, link]))
  return [
    {
      name: 'audit_append_links',
      text: `
        with given as (
          select * from unnest($1::text[], $2::bigint[], $3::text[], $4::date[], $5::bytea[])
            as l (tenant_id, position, audit_id, created_on, hash)
        ), taken as (
          delete from audit_pending using given
          where audit_pending.tenant_id = given.tenant_id
            and audit_pending.audit_id = given.audit_id
        )
        insert into audit_chain (tenant_id, position, audit_id, created_on, form, hash)
        select tenant_id, position, audit_id, created_on, $6, hash from given`,
      values: [
        links.map(({ entry }) => entry.tenantId),
        links.map(({ position }) => position),
        links.map(({ entry }) => entry.id),
        links.map(({ entry }) => entry.createdOn),
        links.map(({ hash }) => hash),
        form,
      ],
    },
    {
      name: 'audit_move_heads',
      text: `
        update audit_head set position = moved.position, hash = moved.hash
        from unnest($1::text[], $2::bigint[], $3::bytea[]) as moved (tenant_id, position, hash)
        where audit_head.tenant_id = moved.tenant_id`,
      values: [
        [...last.keys()],
        [...last.values()].map(({ position }) => position),
        [...last.values()].map(({ hash }) => hash),
      ],
    },
  ]
}
