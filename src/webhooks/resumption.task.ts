import { record } from '#audit/record.ts'
import type { Context } from '#context.ts'
import type { Tx } from '#db/transact.ts'
import { transact } from '#db/transact.ts'
import { publish } from '#events/publish.ts'
import { changedFieldsOf, pick } from '#http/merge-patch.ts'
import { type JobRun, TaskRefusal, task } from '#jobs/task.ts'
import { hastenRetries } from './delivery.sql.ts'
import { lockEndpoint, updateEndpoint } from './endpoint.sql.ts'
import { type Endpoint, patchEndpoint, toEndpoint } from './endpoint.ts'
import { forgetHealth } from './health.sql.ts'
import { lockAbandoned, lockUnwanted, skipDeliveries, type Unwanted } from './resumption.sql.ts'
import { firstEventSent, type ResumptionPayload, webhookResumption } from './resumption.ts'

const second = 1_000

/** Deliveries cancelled in one transaction. */
const pageMax = 1_000

export const resumeWebhooks = task(webhookResumption, {
  timeoutMs: 60 * 60 * second,
  attemptsMax: 10,
  backoff: { firstMs: second, mostMs: 60 * second },
  run: resume,
})

/**
 * Skips what is not wanted, a page at a time, and enables the endpoint in the transaction that finds
 * no more of it. What is skipped stays so: whoever goes on after a crash has only the rest before it.
 */
async function resume(ctx: Context, run: JobRun<ResumptionPayload>) {
  const firstEventId = firstEventSent(run.payload)
  let cancelledCount = 0
  let after: Unwanted | undefined
  for (;;) {
    run.signal.throwIfAborted()
    const page = await takePage(ctx, run, firstEventId, after)
    cancelledCount += page.count
    run.progress(cancelledCount)
    if (page.isLast) return { cancelledCount }
    after = page.after
  }
}

async function takePage(
  ctx: Context,
  { tenantId, payload: { endpointId }, cause }: JobRun<ResumptionPayload>,
  firstEventId: string | null,
  after: Unwanted | undefined,
) {
  return await transact(ctx, tenantId, async (tx) => {
    const lane = { tenantId, endpointId }
    const endpoint = await lockEndpoint(tx, tenantId, endpointId)
    if (endpoint === undefined) throw new TaskRefusal('The endpoint is deleted.')
    const unwanted =
      firstEventId === null ? [] : await lockUnwanted(tx, lane, firstEventId, after, pageMax)
    const isLast = unwanted.length < pageMax
    const abandoned =
      firstEventId !== null && isLast ? await lockAbandoned(tx, lane, firstEventId) : []
    const skipped = [...unwanted, ...abandoned]
    if (skipped.length > 0) skipDeliveries(tx, tenantId, skipped, ctx.clock.now())
    if (isLast) enable(tx, endpoint, { ...cause, now: ctx.clock.now() })
    return { count: skipped.length, isLast, after: unwanted.at(-1) }
  })
}

/** Nothing, where somebody has enabled it meanwhile. */
function enable(tx: Tx, endpoint: Endpoint, cause: JobRun['cause']): void {
  if (endpoint.status === 'ENABLED') return
  const enabled = patchEndpoint(endpoint, { status: 'ENABLED' }, cause.now)
  const [before, view] = [toEndpoint(endpoint), toEndpoint(enabled)]
  const changedFields = changedFieldsOf(before, view)
  updateEndpoint(tx, tx.tenantId, enabled)
  hastenRetries(tx, tx.tenantId, endpoint.id, cause.now)
  forgetHealth(tx, tx.tenantId, endpoint.id)
  record(tx, cause, 'webhook_endpoint.updated', endpoint.id, {
    before: pick(before, changedFields),
    after: pick(view, changedFields),
  })
  publish(tx, cause, 'webhook_endpoint.updated', view, { changedFields })
}
