import { sql } from 'kysely'
import { build } from '#db/database.ts'
import { statement } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import type { TenantId } from '#ids.ts'

/** Queues a secret of a key, by its hash. */
export function insertSecret(
  tx: Tx,
  tenantId: TenantId,
  keyId: string,
  hash: Buffer,
  now: Date,
): void {
  tx.queue(secretInsert.bind({ tenantId, keyId, hash, now }))
}

const secretInsert = statement(
  'key_index_insert',
  (a: { tenantId: TenantId; keyId: string; hash: Buffer; now: Date }) =>
    build.insertInto('key_index').values({
      key_hash: a.hash,
      tenant_id: a.tenantId,
      api_key_id: a.keyId,
      created_at: a.now,
    }),
)

/** Queues a new secret for a key; the one before works on until `overlapEndsAt`. */
export function replaceSecret(
  tx: Tx,
  tenantId: TenantId,
  keyId: string,
  hash: Buffer,
  overlapEndsAt: Date,
  now: Date,
): void {
  tx.queue(secretsExpire.bind({ tenantId, keyId, overlapEndsAt }))
  insertSecret(tx, tenantId, keyId, hash, now)
}

const secretsExpire = statement(
  'key_index_expire',
  (a: { tenantId: TenantId; keyId: string; overlapEndsAt: Date }) =>
    build
      .updateTable('key_index')
      .set({ expires_at: soonerOf(a.overlapEndsAt) })
      .where('tenant_id', '=', a.tenantId)
      .where('api_key_id', '=', a.keyId),
)

/** Also a secret that was rotated out before, with a longer overlap, ends with this one. */
function soonerOf(end: Date) {
  return sql<Date>`least(coalesce(expires_at, 'infinity'), ${end}::timestamptz)`
}
