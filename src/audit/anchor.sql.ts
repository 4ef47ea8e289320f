import type pg from 'pg'
import type { Db } from '#db/database.ts'
import type { PageRequest } from '#http/page.ts'
import { type Anchor, type AnchoredHead, type AnchorSeal, anchorForm } from './anchor.ts'

/** Held by whoever makes an anchor, so that each has one before it. */
const anchorLock = 8_262_007

/** Whether nobody else is making an anchor; until the transaction ends nobody will. */
export async function takeAnchorTurn(client: pg.ClientBase): Promise<boolean> {
  const { rows } = await client.query<{ taken: boolean }>(
    'select pg_try_advisory_xact_lock($1) as taken',
    [anchorLock],
  )
  return rows[0]?.taken ?? false
}

export async function findLastAnchor(client: pg.ClientBase) {
  const { rows } = await client.query<{ number: string; anchored_at: Date; digest: Buffer }>(
    'select number, anchored_at, digest from audit_anchor order by number desc limit 1',
  )
  const [row] = rows
  return row && { number: Number(row.number), anchoredAt: row.anchored_at, digest: row.digest }
}

/** The heads that moved since the last anchor, held until the transaction ends. */
export async function lockMovedHeads(client: pg.ClientBase): Promise<AnchoredHead[]> {
  const { rows } = await client.query<{ tenant_id: string; position: string; hash: Buffer }>(
    `select tenant_id, position, hash from audit_head where position > anchored_position
     order by tenant_id for update`,
  )
  return rows.map((row) => [row.tenant_id, Number(row.position), row.hash.toString('hex')])
}

export async function insertAnchor(client: pg.ClientBase, anchor: Anchor): Promise<void> {
  const { number, anchoredAt, previousDigest, heads, digest, keyId, mac } = anchor
  await client.query(
    `insert into audit_anchor (number, form, anchored_at, previous_digest, heads, head_count,
       digest, key_id, mac) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    [
      number,
      anchorForm,
      anchoredAt,
      previousDigest,
      JSON.stringify(heads),
      heads.length,
      digest,
      keyId,
      mac,
    ],
  )
  await client.query(
    'update audit_head set anchored_position = position where tenant_id = any($1)',
    [heads.map(([tenantId]) => tenantId)],
  )
}

export async function pageAnchors(
  db: Db,
  { sort }: { sort: '-number' | 'number' },
  page: PageRequest,
): Promise<(AnchorSeal & { headCount: number })[]> {
  const isNewestFirst = sort === '-number'
  let query = db
    .selectFrom('audit_anchor')
    .select(['number', 'anchored_at', 'previous_digest', 'digest', 'key_id', 'mac', 'head_count'])
    .orderBy('number', isNewestFirst ? 'desc' : 'asc')
    .limit(page.limit + 1)
  if (page.after) query = query.where('number', isNewestFirst ? '<' : '>', String(page.after[0]))
  return (await query.execute()).map((row) => ({
    number: Number(row.number),
    anchoredAt: row.anchored_at,
    previousDigest: row.previous_digest,
    digest: row.digest,
    keyId: row.key_id,
    mac: row.mac,
    headCount: row.head_count,
  }))
}
