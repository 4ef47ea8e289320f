import type { Context } from '#context.ts'
import { batchMax, eraseInBatches, isFree } from './erase.sql.ts'

type Worker = Pick<Context, 'db' | 'clock'>

const dayMs = 24 * 60 * 60 * 1_000

/**
 * What a webhook consisted of is kept for 30 days. By what a second copy of it is known is kept as
 * long as its row, 90: senders that are not answered go on for weeks.
 */
const receiptDays = { payload: 30, dedupeKey: 90 }

/** Erases headers and bodies of receipts, by whole days. */
export async function eraseReceipts({ db, clock }: Worker): Promise<void> {
  const firstKept = new Date(clock.now().getTime() - receiptDays.payload * dayMs)
  await eraseInBatches(db.worker, {
    text: `
      update inbound_receipt as receipt set headers = null, body = null
      from (
        select tenant_id, id, created_on from inbound_receipt as old
        where created_on < $1::date and body is not null and ${isFree('old')}
        limit ${batchMax}
      ) as old
      where receipt.tenant_id = old.tenant_id and receipt.id = old.id
        and receipt.created_on = old.created_on`,
    values: [firstKept.toISOString().slice(0, 10)],
  })
}

/** Forgets by what second copies were known. */
export async function pruneDedupeKeys({ db, clock }: Worker): Promise<void> {
  await eraseInBatches(db.worker, {
    text: `
      delete from inbound_dedupe where (tenant_id, source_id, dedupe_key) in (
        select tenant_id, source_id, dedupe_key from inbound_dedupe as old
        where received_at <= $1 and ${isFree('old')} limit ${batchMax})`,
    values: [new Date(clock.now().getTime() - receiptDays.dedupeKey * dayMs)],
  })
}
