import { record } from '#audit/record.ts'
import type { Tx } from '#db/transact.ts'
import type { Operation } from '#http/operation.ts'
import { pageOf, toPage } from '#http/page.ts'
import { found, problem } from '#http/problem.ts'
import type { TenantId } from '#ids.ts'
import { askFor } from '#jobs/ask.ts'
import { enqueue } from '#jobs/enqueue.ts'
import { findReceipt, lockReceipt, pageReceipts, updateReceipt } from './receipt.sql.ts'
import {
  forwarding,
  type Receipt,
  reprocessed,
  toReceipt,
  toReceiptDetail,
  unasked,
} from './receipt.ts'
import { reprocessing, selectionOf } from './reprocessing.ts'
import { findSource } from './source.sql.ts'
import { secretsOf } from './source.ts'

export const listInboundReceipts: Operation<'listInboundReceipts'> = async (
  ctx,
  call,
  { query },
  db,
) => {
  const page = pageOf(ctx, call, 'inbound-receipts', query)
  const receipts = await pageReceipts(db, call.tenantId, query, page)
  const placeOf = ({ id }: Receipt) => [id]
  return {
    status: 200,
    body: toPage(ctx, call, 'inbound-receipts', query, receipts, placeOf, toReceipt),
  }
}

export const getInboundReceipt: Operation<'getInboundReceipt'> = async (
  ctx,
  call,
  { path },
  db,
) => {
  const { receipt, payload } = found(await findReceipt(db, call.tenantId, path.inboundReceiptId))
  // With the source go its secrets: they open nothing any more.
  const source = await findSource(db, call.tenantId, receipt.sourceId)
  const secrets = source ? secretsOf(ctx, call.tenantId, source) : []
  return { status: 200, body: toReceiptDetail(receipt, payload, secrets) }
}

export const retryInboundReceipt: Operation<'retryInboundReceipt'> = async (
  _ctx,
  call,
  { path },
  tx,
) => {
  const held = found(await lockReceipt(tx, call.tenantId, path.inboundReceiptId))
  const receipt = reprocessed(held.receipt, held.payload)

  updateReceipt(tx, call.tenantId, receipt)
  enqueue(tx, unasked(call), forwarding, { receiptId: receipt.id })
  record(tx, call, 'inbound_receipt.reprocessed', receipt.id, {
    before: { status: held.receipt.status },
    after: { status: receipt.status },
  })
  return { status: 202, body: toReceipt(receipt) }
}

export const createInboundReprocessing: Operation<'createInboundReprocessing'> = async (
  _ctx,
  call,
  { body },
  tx,
) => {
  await requireSource(tx, call.tenantId, body.sourceId)
  const payload = selectionOf(body, call.now)
  const view = askFor(tx, call, reprocessing, payload)
  record(tx, call, 'inbound_receipt.reprocessing_asked', view.id, { after: view })
  return { status: 202, headers: { Location: `/api/v1/jobs/${view.id}` }, body: view }
}

/** Another tenant's source is none: its id would otherwise be repeated in job and audit. */
async function requireSource(tx: Tx, tenantId: TenantId, id: string | undefined): Promise<void> {
  if (id === undefined || (await findSource(tx, tenantId, id)) !== undefined) return
  throw problem('reference_unknown', {
    detail: 'There is no such source.',
    errors: [{ pointer: '/sourceId', code: 'unknown', message: 'names no source' }],
  })
}
