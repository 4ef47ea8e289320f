import type { Context } from '#context.ts'
import { transact } from '#db/transact.ts'
import { enqueue } from '#jobs/enqueue.ts'
import { type JobRun, task } from '#jobs/task.ts'
import { lockSelected, updateReceipt } from './receipt.sql.ts'
import { forwarding, unasked } from './receipt.ts'
import { reprocessing, type Selection } from './reprocessing.ts'

const second = 1_000
const minute = 60 * second

/** Receipts that are held at once. */
const batchMax = 100

export const reprocessReceipts = task(reprocessing, {
  timeoutMs: 10 * minute,
  attemptsMax: 5,
  backoff: { firstMs: 5 * second, mostMs: 5 * minute },
  run: reprocess,
})

/** Batch by batch, each in a transaction with the jobs that pass its receipts on. */
async function reprocess(
  ctx: Context,
  { tenantId, payload, cause, signal, progress }: JobRun<Selection>,
): Promise<{ reprocessed: number }> {
  let count = 0
  for (let last: string | undefined = ''; last !== undefined; ) {
    signal.throwIfAborted()
    const after: string = last
    const taken = await transact(ctx, tenantId, async (tx) => {
      const receipts = await lockSelected(tx, tenantId, payload, after, batchMax)
      for (const receipt of receipts) {
        updateReceipt(tx, tenantId, { ...receipt, status: 'RECEIVED' })
        enqueue(tx, unasked(cause), forwarding, { receiptId: receipt.id })
      }
      return receipts
    })
    count += taken.length
    progress(count)
    last = taken.length < batchMax ? undefined : taken.at(-1)?.id
  }
  return { reprocessed: count }
}
