import { hash } from 'node:crypto'
import type { Context } from '#context.ts'
import { build } from '#db/database.ts'
import { idempotencyKeyTtlMs, type StoredReply } from '#db/envelope.ts'
import { fetchOne, statement } from '#db/statement.ts'
import type { Route } from '#generated/routes.ts'
import type { TenantId } from '#ids.ts'
import { holdsSecret } from '#secrets/token.ts'
import { type Problem, problem } from './problem.ts'

/** The key of a call: bare or as a quoted string it is the same key, and `""` is none. */
export function idempotencyKeyOf(header: unknown): string | undefined {
  if (typeof header !== 'string') return undefined
  const key = /^"(.*)"$/s.exec(header)?.[1] ?? header
  if (key === '') throw refusedKey('too_short', 'must not be empty')
  // It is kept beside its reply, in clear.
  if (holdsSecret(key)) throw refusedKey('forbidden', 'must not hold an API key or another secret')
  return key
}

function refusedKey(code: string, message: string): Problem {
  return problem('invalid_request', { errors: [{ header: 'idempotency-key', code, message }] })
}

/**
 * What makes two calls the same call: method, route, parameters and the raw bytes of the body; where
 * the reply holds a secret, also the key that called, since another key was not to see it.
 */
export function fingerprintOf(route: Route, callerId: string, url: string, raw: Buffer): Buffer {
  const isSensitive = Object.values(route.replies).some((reply) => reply.isSensitive)
  const caller = isSensitive ? callerId : ''
  const lead = Buffer.from(`${route.method} ${route.operationId} ${caller} ${url}\n`)
  return hash('sha256', Buffer.concat([lead, raw]), 'buffer')
}

/**
 * The reply that was stored for this key, when there is one. Throws `idempotency_key_reused` when
 * the key stands for another call.
 */
export async function findReply(
  ctx: Context,
  tenantId: TenantId,
  key: string,
  fingerprint: Buffer,
  now: Date,
): Promise<StoredReply | undefined> {
  const db = ctx.db.readers.of(tenantId)
  const since = new Date(now.getTime() - idempotencyKeyTtlMs)
  const row = await fetchOne(db, replyByKey.bind({ tenantId, key, since }))
  if (row === undefined) return undefined
  if (!row.fingerprint.equals(fingerprint)) throw problem('idempotency_key_reused')
  return {
    status: row.status,
    headers: row.headers as Record<string, string>,
    body: row.is_sealed ? ctx.secrets.open(replyPlace(tenantId, key), row.body) : row.body,
    isSealed: row.is_sealed,
  }
}

const replyByKey = statement(
  'idempotency_by_key',
  (a: { tenantId: TenantId; key: string; since: Date }) =>
    build
      .selectFrom('idempotency')
      .select(['fingerprint', 'status', 'headers', 'body', 'is_sealed'])
      .where('tenant_id', '=', a.tenantId)
      .where('key', '=', a.key)
      .where('created_at', '>', a.since),
)

/** Where a sealed reply is kept: it opens nowhere else. */
export function replyPlace(tenantId: TenantId, key: string) {
  return { tenantId, table: 'idempotency', rowId: key, column: 'body' }
}
