import type { Context } from '#context.ts'
import { build } from '#db/database.ts'
import { fetchOne, statement, touchingOne } from '#db/statement.ts'
import { transact } from '#db/transact.ts'
import { publish } from '#events/publish.ts'
import type { TenantId } from '#ids.ts'
import { fromJobRow, jobColumns } from './job.sql.ts'
import { concluded, endOf, type Job, toJob } from './job.ts'
import type { Final, Progress, Started } from './run.sql.ts'
import { causeOf } from './run.ts'

/**
 * Writes a final state that somebody is told of, with the event that tells it, in one transaction;
 * answers whether the lease was still ours.
 */
export async function conclude(
  ctx: Context,
  started: Started,
  ending: Final,
  progress: Progress,
): Promise<boolean> {
  const { tenantId, jobId, token } = started
  return await transact(ctx, tenantId, async (tx) => {
    const row = await fetchOne(tx, jobLeased.bind({ tenantId, id: jobId, token }))
    if (row === undefined) return false
    const cause = causeOf(started, ctx.clock)
    const job = concluded(fromJobRow(row), ending, progress, cause.now)
    tx.queue(
      jobConclude.bind({
        ...{ tenantId, id: jobId, status: job.status, error: job.error },
        result: ending.status === 'SUCCEEDED' ? ending.result : null,
        progressDone: job.progress?.done ?? null,
        progressTotal: job.progress?.total ?? null,
        finishedAt: cause.now,
      }),
    )
    const end = endOf(job)
    if (end !== undefined) publish(tx, cause, end, toJob(job))
    return true
  })
}

const jobLeased = statement('job_leased', (a: { tenantId: TenantId; id: string; token: string }) =>
  build
    .selectFrom('job')
    .select(jobColumns)
    .where('tenant_id', '=', a.tenantId)
    .where('id', '=', a.id)
    .where('lease_token', '=', a.token)
    .forNoKeyUpdate(),
)

interface Conclusion {
  tenantId: TenantId
  id: string
  status: Job['status']
  error: string | null
  result: string | null
  progressDone: number | null
  progressTotal: number | null
  finishedAt: Date
}

const jobConclude = touchingOne('job_conclude', 'conflict', (a: Conclusion) =>
  build
    .updateTable('job')
    .set({
      status: a.status,
      error: a.error,
      result: a.result,
      progress_done: a.progressDone,
      progress_total: a.progressTotal,
      finished_at: a.finishedAt,
      lease_token: null,
      leased_until: null,
      is_cancel_asked: false,
    })
    .where('tenant_id', '=', a.tenantId)
    .where('id', '=', a.id),
)
