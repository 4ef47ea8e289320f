import type { Context } from '#context.ts'
import { transact } from '#db/transact.ts'
import { publish } from '#events/publish.ts'
import { type JobRun, task } from '#jobs/task.ts'
import { lockReceipt, updateReceipt } from './receipt.sql.ts'
import { forwarded, forwarding, toReceipt } from './receipt.ts'

const second = 1_000
const minute = 60 * second

export const forwardReceipt = task(forwarding, {
  timeoutMs: 30 * second,
  attemptsMax: 10,
  backoff: { firstMs: second, mostMs: 10 * minute },
  run: forward,
})

/** Makes the event and says so in the receipt, at once: whoever runs second finds it done. */
async function forward(
  ctx: Context,
  { tenantId, payload, cause }: JobRun<{ receiptId: string }>,
): Promise<undefined> {
  await transact(ctx, tenantId, async (tx) => {
    const held = await lockReceipt(tx, tenantId, payload.receiptId)
    if (held?.receipt.status !== 'RECEIVED') return
    const receipt = forwarded(held.receipt, cause.now)
    updateReceipt(tx, tenantId, receipt)
    publish(tx, cause, 'inbound.received', toReceipt(receipt))
  })
}
