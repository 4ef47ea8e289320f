import type { Context } from '#context.ts'
import { problemOf } from '#db/errors.ts'
import { transact } from '#db/transact.ts'
import { publish } from '#events/publish.ts'
import type { Cause } from '#http/operation.ts'
import type { TenantId } from '#ids.ts'
import { gather } from '#jobs/gather.ts'
import { type JobRun, task } from '#jobs/task.ts'
import { perContext } from '#per-context.ts'
import { forwardReceipts } from './receipt.sql.ts'
import { forwarding, toReceipt } from './receipt.ts'

const second = 1_000
const minute = 60 * second

export const forwardReceipt = task(forwarding, {
  timeoutMs: 30 * second,
  attemptsMax: 10,
  backoff: { firstMs: second, mostMs: 10 * minute },
  run: (ctx, { tenantId, payload, cause }: JobRun<{ receiptId: string }>) =>
    forwarderOf(ctx)({ tenantId, receiptId: payload.receiptId, cause }),
})

/** A receipt that is to be passed on, and whom that is put down to. */
interface Item {
  tenantId: TenantId
  receiptId: string
  cause: Cause
}

/** Receipts that are passed on in one transaction. */
const batchMax = 100
/** Nobody waits for it as a sender waits for the answer. */
const apartMs = 20

/** What comes while a tenant's transaction is under way goes into its next: jobs are many and small. */
const forwarderOf = perContext((ctx) =>
  gather((items: readonly Item[]) => forwardAll(ctx, items), {
    ...{ batchMax, apartMs },
    laneOf: ({ tenantId }) => tenantId,
    isOfOne: (error) => problemOf(error)?.code !== 'unavailable',
  }),
)

/** Makes the events and says so in the receipts, at once: whoever runs second finds it done. */
async function forwardAll(ctx: Context, items: readonly Item[]): Promise<undefined[]> {
  const [first] = items
  if (first === undefined) return []
  await transact(ctx, first.tenantId, async (tx) => {
    const ids = items.map(({ receiptId }) => receiptId)
    const receipts = await forwardReceipts(tx, first.tenantId, ids, first.cause.now)
    const causes = new Map(items.map(({ receiptId, cause }) => [receiptId, cause]))
    for (const receipt of receipts) {
      publish(tx, causes.get(receipt.id) ?? first.cause, 'inbound.received', toReceipt(receipt))
    }
  })
  return items.map(() => undefined)
}
