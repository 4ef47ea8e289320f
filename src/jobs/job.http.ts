import { record } from '#audit/record.ts'
import { publish } from '#events/publish.ts'
import type { JobInput } from '#generated/types.ts'
import type { Operation } from '#http/operation.ts'
import { pageOf, toPage } from '#http/page.ts'
import { found } from '#http/problem.ts'
import { askFor } from './ask.ts'
import {
  askToCancel,
  cancelJob as cancelRow,
  findJob,
  lockJob,
  pageJobs,
  retryJob as retryRow,
} from './job.sql.ts'
import { aheadMsMax, cancelled, retried, toJob, toJobSummary } from './job.ts'
import { requireFit } from './misfit.ts'
import { misfitOfPeriod, reportOf, usageReport } from './usage-report.ts'

export const createJob: Operation<'createJob'> = async (_ctx, call, { body }, tx) => {
  const payload = reportOf(body.payload)
  requireFit(misfitOfPeriod(payload))
  const { priority = 'NORMAL', uniqueKey } = body
  const dueAt = dueAtOf(body, call.now)

  const view = askFor(tx, call, usageReport, payload, {
    ...{ dueAt, priority },
    ...(uniqueKey === undefined ? {} : { uniqueKey }),
  })
  record(tx, call, 'job.created', view.id, { after: view })
  return { status: 202, headers: { Location: `/api/v1/jobs/${view.id}` }, body: view }
}

/** A time that is over means at once; one that is far off is a mistake. */
function dueAtOf({ runAt }: JobInput, now: Date): Date {
  if (runAt === undefined) return now
  const aheadMs = Date.parse(runAt) - now.getTime()
  const isFar = aheadMs > aheadMsMax
  requireFit(isFar ? { pointer: '/runAt', message: 'must be within a year' } : undefined)
  return aheadMs > 0 ? new Date(runAt) : now
}

export const listJobs: Operation<'listJobs'> = async (ctx, call, { query }, db) => {
  const page = pageOf(ctx, call, 'jobs', query)
  const jobs = await pageJobs(db, call.tenantId, query, page)
  const placeOf = ({ id }: { id: string }) => [id]
  return { status: 200, body: toPage(ctx, call, 'jobs', query, jobs, placeOf, toJobSummary) }
}

export const getJob: Operation<'getJob'> = async (_ctx, call, { path }, db) => {
  return { status: 200, body: toJob(found(await findJob(db, call.tenantId, path.jobId))) }
}

export const retryJob: Operation<'retryJob'> = async (_ctx, call, { path }, tx) => {
  const job = found(await lockJob(tx, call.tenantId, path.jobId))
  const again = retried(job, call.now)
  const view = toJob(again)

  retryRow(tx, call.tenantId, again)
  record(tx, call, 'job.retried', job.id, {
    before: { status: job.status, attemptCount: job.attemptCount },
    after: { status: view.status, dueAt: view.dueAt },
  })
  return { status: 202, body: view }
}

export const cancelJob: Operation<'cancelJob'> = async (_ctx, call, { path }, tx) => {
  const job = found(await lockJob(tx, call.tenantId, path.jobId))
  const stopped = cancelled(job, call.now)
  const view = toJob(stopped)
  if (stopped.status === 'CANCELLED') {
    cancelRow(tx, call.tenantId, job.id, call.now)
    record(tx, call, 'job.cancelled', job.id, {
      before: { status: job.status },
      after: { status: view.status },
    })
    publish(tx, call, 'job.cancelled', view)
  } else if (!job.isCancelAsked) {
    askToCancel(tx, call.tenantId, job.id)
    record(tx, call, 'job.cancel_asked', job.id, {
      before: { isCancelAsked: false },
      after: { isCancelAsked: true },
    })
  }
  return { status: 200, body: view }
}
