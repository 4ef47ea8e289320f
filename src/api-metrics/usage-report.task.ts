import type { Context } from '#context.ts'
import { transact } from '#db/transact.ts'
import type { UsageReport } from '#generated/types.ts'
import type { TenantId } from '#ids.ts'
import { type JobRun, task } from '#jobs/task.ts'
import { type UsageReportPayload, usageReport } from '#jobs/usage-report.ts'
import { findRolledUntil, sumCalls } from './api-metrics.sql.ts'
import { coverOf, type Span } from './cover.ts'
import { countEvents, sumDeliveries } from './usage-report.sql.ts'
import { addSlice, newSum, type Slice, slicesOf, toUsageReport } from './usage-report.ts'

const second = 1_000
const minute = 60 * second

export const makeUsageReport = task(usageReport, {
  timeoutMs: 2 * minute,
  attemptsMax: 5,
  backoff: { firstMs: 5 * second, mostMs: 5 * minute },
  run: reportUsage,
})

/**
 * Counts a day at a time, each in a transaction of its own on a connection of its own: no statement
 * runs long, and nobody's reads wait behind it.
 */
async function reportUsage(
  ctx: Context,
  { tenantId, payload, signal, progress }: JobRun<UsageReportPayload>,
): Promise<UsageReport> {
  const now = ctx.clock.now()
  const slices = slicesOf(payload, now.getTime())
  let sum = newSum()
  progress(0, slices.length)
  for (const [at, asked] of slices.entries()) {
    signal.throwIfAborted()
    sum = addSlice(sum, payload.groupBy, await readSlice(ctx, tenantId, payload, asked, now))
    progress(at + 1, slices.length)
  }
  return toUsageReport(payload, sum)
}

async function readSlice(
  ctx: Context,
  tenantId: TenantId,
  { groupBy }: UsageReportPayload,
  asked: Span,
  now: Date,
): Promise<Slice> {
  return await transact(ctx, tenantId, async (tx) => {
    const { span, ...cover } = coverOf(asked, now.getTime(), await findRolledUntil(tx))
    // A slice lies in one day.
    const within = groupBy === 'DAY' ? 'NONE' : groupBy
    return {
      asked,
      covered: { fromMs: span.fromMs, toMs: Math.min(span.toMs, now.getTime()) },
      groups: await sumCalls(tx, tenantId, { span, ...cover }, within, {}),
      events: await countEvents(tx, tenantId, asked),
      deliveries: await sumDeliveries(tx, tenantId, asked),
    }
  })
}
