import { record } from '#audit/record.ts'
import type { Tx } from '#db/transact.ts'
import { publish } from '#events/publish.ts'
import type { InvoiceInfo } from '#generated/types.ts'
import { changedFieldsOf, pick } from '#http/merge-patch.ts'
import type { Call } from '#http/operation.ts'
import { updateInvoice } from './invoice.sql.ts'
import { type Invoice, toInvoice } from './invoice.ts'

/** Queues an invoice's next state with its audit entry and its event. */
export function advance(
  tx: Tx,
  call: Call,
  type: 'invoice.updated' | 'invoice.issued' | 'invoice.paid' | 'invoice.voided',
  invoice: Invoice,
  next: Invoice,
): InvoiceInfo {
  const [before, view] = [toInvoice(invoice), toInvoice(next)]
  const changedFields = changedFieldsOf(before, view)
  updateInvoice(tx, call.tenantId, next)
  record(tx, call, type, invoice.id, {
    before: pick(before, changedFields),
    after: pick(view, changedFields),
  })
  publish(tx, call, type, view, type === 'invoice.updated' ? { changedFields } : {})
  return view
}
