import type { Anchor, AnchoredHead } from './anchor.ts'
import { entryColumns } from './chain.sql.ts'
import type { ChainedEntry } from './chain.ts'
import type { ReadLink } from './verify-links.ts'

/** Reads rows past the fences between tenants. */
export type Query = <Row extends object>(text: string, values?: unknown[]) => Promise<Row[]>

/** Rows of one kind that are told at most: who finds more has seen enough. */
const strayMax = 100

/**
 * The first of what is found. Found whole before it is cut: a planner that sees the limit counts on
 * meeting strays soon, and where there are none it then goes through each tenant once for each row.
 */
const firstOf = (found: string) =>
  `with found as materialized (${found}) select * from found order by 1, 2 limit ${strayMax}`

const linksPerRead = 2_000

export interface HeadRow {
  tenantId: string
  position: number
  hash: Buffer
  anchoredPosition: number
}

export async function findHeads(query: Query): Promise<HeadRow[]> {
  const rows = await query<{
    tenant_id: string
    position: string
    hash: Buffer
    anchored_position: string
  }>('select tenant_id, position, hash, anchored_position from audit_head order by tenant_id')
  return rows.map((row) => ({
    tenantId: row.tenant_id,
    position: Number(row.position),
    hash: row.hash,
    anchoredPosition: Number(row.anchored_position),
  }))
}

/** The next links of a chain with their entries. */
export async function readLinks(
  query: Query,
  tenantId: string,
  after: number,
): Promise<ReadLink[]> {
  const rows = await query<LinkRow>(
    `select link.position, link.audit_id, to_char(link.created_on, 'YYYY-MM-DD') as linked_on, link.form, link.hash,
       ${entryColumns}
     from audit_chain as link
     left join audit as entry on entry.tenant_id = link.tenant_id and entry.id = link.audit_id
       and entry.created_on = link.created_on
     where link.tenant_id = $1 and link.position > $2 order by link.position limit ${linksPerRead}`,
    [tenantId, after],
  )
  return rows.map(({ position, audit_id, linked_on, form, hash, ...entry }) => ({
    position: Number(position),
    auditId: audit_id,
    createdOn: linked_on,
    form,
    hash,
    entry: entry.id === null ? null : entry,
  }))
}

type LinkRow = ChainedEntry & {
  position: string
  audit_id: string
  linked_on: string
  form: number
  hash: Buffer
}

interface Stray {
  tenantId: string
  auditId: string
}

/** Entries that no link names, and that are not waiting for one. */
export async function findUnchained(query: Query): Promise<Stray[]> {
  return await query<Stray>(
    firstOf(`select entry.tenant_id as "tenantId", entry.id as "auditId" from audit as entry
     where not exists (select from audit_chain as link
         where link.tenant_id = entry.tenant_id and link.audit_id = entry.id
           and link.created_on = entry.created_on)
       and not exists (select from audit_pending as pending
         where pending.tenant_id = entry.tenant_id and pending.audit_id = entry.id
           and pending.created_on = entry.created_on)`),
  )
}

/** Chains without a head. */
export async function findHeadless(query: Query): Promise<{ tenantId: string }[]> {
  return await query<{ tenantId: string }>(
    `select distinct link.tenant_id as "tenantId" from audit_chain as link
     where not exists (select from audit_head as head where head.tenant_id = link.tenant_id)
     order by 1 limit ${strayMax}`,
  )
}

/** How many entries wait to be chained, and those of them that are not there. */
export async function findLostPending(query: Query): Promise<{ count: number; lost: Stray[] }> {
  const [row] = await query<{ count: string }>('select count(*) as count from audit_pending')
  const lost = await query<Stray>(
    firstOf(`select pending.tenant_id as "tenantId", pending.audit_id as "auditId"
     from audit_pending as pending
     where not exists (select from audit as entry
       where entry.tenant_id = pending.tenant_id and entry.id = pending.audit_id
         and entry.created_on = pending.created_on)`),
  )
  return { count: Number(row?.count ?? 0), lost }
}

interface AnchorRow {
  number: string
  anchored_at: Date
  previous_digest: Buffer | null
  heads: AnchoredHead[]
  digest: Buffer
  key_id: string
  mac: Buffer
}

/** The anchors in their order; one at a time, since one may name every tenant. */
export async function* eachAnchor(query: Query): AsyncGenerator<Anchor> {
  for (let last = '0'; ; ) {
    const [row] = await query<AnchorRow>(
      `select number, anchored_at, previous_digest, heads, digest, key_id, mac from audit_anchor
       where number > $1 order by number limit 1`,
      [last],
    )
    if (row === undefined) return
    last = row.number
    yield {
      number: Number(row.number),
      anchoredAt: row.anchored_at,
      previousDigest: row.previous_digest,
      heads: row.heads,
      digest: row.digest,
      keyId: row.key_id,
      mac: row.mac,
    }
  }
}

/** The hashes of chains at the places that an anchor knows, in hex. */
export async function hashesAt(
  query: Query,
  heads: readonly AnchoredHead[],
): Promise<Map<string, string>> {
  const rows = await query<{ tenant_id: string; hash: string }>(
    `select link.tenant_id, encode(link.hash, 'hex') as hash
     from unnest($1::text[], $2::bigint[]) as head (tenant_id, position)
     join audit_chain as link using (tenant_id, position)`,
    [heads.map(([tenantId]) => tenantId), heads.map(([, position]) => position)],
  )
  return new Map(rows.map((row) => [row.tenant_id, row.hash]))
}
