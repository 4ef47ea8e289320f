import type { Context } from '#context.ts'
import { batchMax, eraseInBatches, isFree } from './erase.sql.ts'

const dayMs = 24 * 60 * 60 * 1_000

/** For how many days the row of something deleted stays as it was. */
const deletedDays = 30

const invoiceOfProposal = `exists (select from invoice
  where invoice.tenant_id = old.tenant_id and invoice.proposal_id = old.id)`

const anythingOfClient = ['proposal', 'invoice', 'payment']
  .map(
    (table) => `exists (select from ${table}
      where ${table}.tenant_id = old.tenant_id and ${table}.client_id = old.id)`,
  )
  .join(' or ')

/**
 * Purges what was deleted long ago, proposals before the clients that they are for. A row that an
 * invoice, a payment or a proposal refers to stays, so that those remain whole, but has no words any
 * more: it is the bare fact that there was something.
 */
export async function purgeDeleted({ db, clock }: Context): Promise<void> {
  const now = clock.now()
  const before = new Date(now.getTime() - deletedDays * dayMs)
  for (const { table, isUsed, words } of [
    {
      table: 'proposal',
      isUsed: invoiceOfProposal,
      words: `title = '', lines = '[]', decline_reason = null`,
    },
    {
      table: 'client',
      isUsed: anythingOfClient,
      words: `name = '', external_id = null, email = null, phone = null, tax_number = null,
        address = null, metadata = '{}'`,
    },
  ]) {
    await eraseInBatches(db.worker, {
      text: `
        delete from ${table} where (tenant_id, id) in (
          select tenant_id, id from ${table} as old
          where deleted_at <= $1 and not (${isUsed}) and ${isFree('old')} limit ${batchMax})`,
      values: [before],
    })
    await eraseInBatches(db.worker, {
      text: `
        update ${table} set ${words}, purged_at = $2 where (tenant_id, id) in (
          select tenant_id, id from ${table} as old
          where deleted_at <= $1 and purged_at is null and ${isFree('old')} limit ${batchMax})`,
      values: [before, now],
    })
  }
}
