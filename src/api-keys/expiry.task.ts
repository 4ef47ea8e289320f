import pg from 'pg'
import type { Context } from '#context.ts'
import { transact } from '#db/transact.ts'
import { publish } from '#events/publish.ts'
import { systemCause } from '#http/operation.ts'
import { holdApiKey } from './api-key.sql.ts'
import { toApiKey } from './api-key.ts'
import { deleteWarnings, type Expiring, findExpiring, insertWarning } from './expiry.sql.ts'
import { warningDue } from './expiry.ts'

const batchMax = 500

/** Warns of keys that will expire soon; one that cannot be warned of keeps no other waiting. */
export async function warnOfExpiry(ctx: Context): Promise<void> {
  const now = ctx.clock.now()
  let last: Expiring | undefined
  for (;;) {
    const expiring = await findExpiring(ctx.db.worker, now, last, batchMax)
    for (const each of expiring) {
      await warnOf(ctx, each).catch((error) => {
        if (isGiven(error)) return
        ctx.log.error({ err: error, ...each }, 'it was not told that a key will expire')
      })
    }
    last = expiring.at(-1)
    if (expiring.length < batchMax) break
  }
  await deleteWarnings(ctx.db.worker, now)
}

async function warnOf(ctx: Context, { tenantId, environment, keyId }: Expiring): Promise<void> {
  const cause = systemCause(ctx, 'timetable')
  await transact(ctx, tenantId, async (tx) => {
    const key = await holdApiKey(tx, tenantId, keyId)
    const daysBefore = warningDue(key?.expiresAt ?? null, cause.now)
    if (!key?.expiresAt || key.revokedAt !== null || daysBefore === undefined) return
    insertWarning(tx, { keyId, expiresAt: key.expiresAt, daysBefore }, cause.now)
    publish(tx, cause, 'api_key.expiring', toApiKey(key, environment, cause.now))
  })
}

/** Whether another process was faster. */
function isGiven(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.constraint === 'api_key_expiry_warning_pkey'
}
