import { record } from '#audit/record.ts'
import { publish } from '#events/publish.ts'
import { changedFieldsOf, pick } from '#http/merge-patch.ts'
import type { Operation } from '#http/operation.ts'
import { pageOf, toPage } from '#http/page.ts'
import { found, problem } from '#http/problem.ts'
import { requireMatch } from '#http/revision.ts'
import { requireFit } from './misfit.ts'
import {
  countSchedules,
  deleteSchedule,
  findSchedule,
  insertSchedule,
  lockSchedule,
  pageSchedules,
  updateSchedule,
} from './schedule.sql.ts'
import {
  misfitOfSchedule,
  newSchedule,
  patchSchedule,
  schedulesMax,
  toSchedule,
} from './schedule.ts'

export const createJobSchedule: Operation<'createJobSchedule'> = async (
  _ctx,
  call,
  { body },
  tx,
) => {
  requireFit(misfitOfSchedule(body, call.now))
  if ((await countSchedules(tx, call.tenantId)) >= schedulesMax) {
    throw problem('limit_reached', { detail: `A tenant has at most ${schedulesMax} schedules.` })
  }
  const schedule = newSchedule(tx.newId('sch'), body, call.now)
  const view = toSchedule(schedule)

  insertSchedule(tx, call.tenantId, schedule)
  record(tx, call, 'job_schedule.created', schedule.id, { after: view })
  publish(tx, call, 'job_schedule.created', view)
  return { status: 201, headers: { Location: `/api/v1/job-schedules/${schedule.id}` }, body: view }
}

export const listJobSchedules: Operation<'listJobSchedules'> = async (ctx, call, { query }, db) => {
  const page = pageOf(ctx, call, 'job-schedules', query)
  const schedules = await pageSchedules(db, call.tenantId, query, page)
  const placeOf = ({ id }: { id: string }) => [id]
  return {
    status: 200,
    body: toPage(ctx, call, 'job-schedules', query, schedules, placeOf, toSchedule),
  }
}

export const getJobSchedule: Operation<'getJobSchedule'> = async (_ctx, call, { path }, db) => {
  const schedule = found(await findSchedule(db, call.tenantId, path.jobScheduleId))
  return { status: 200, body: toSchedule(schedule) }
}

export const updateJobSchedule: Operation<'updateJobSchedule'> = async (
  _ctx,
  call,
  { path, headers, body },
  tx,
) => {
  const schedule = found(await lockSchedule(tx, call.tenantId, path.jobScheduleId))
  requireMatch(headers['if-match'], schedule.revision)
  requireFit(misfitOfSchedule({ ...schedule, ...body }, call.now))
  const patched = patchSchedule(schedule, body, call.now)
  const [before, view] = [toSchedule(schedule), toSchedule(patched)]
  const changedFields = changedFieldsOf(before, view)
  if (changedFields.length === 0) return { status: 200, body: before }

  updateSchedule(tx, call.tenantId, patched)
  record(tx, call, 'job_schedule.updated', schedule.id, {
    before: pick(before, changedFields),
    after: pick(view, changedFields),
  })
  publish(tx, call, 'job_schedule.updated', view, { changedFields })
  return { status: 200, body: view }
}

export const deleteJobSchedule: Operation<'deleteJobSchedule'> = async (
  _ctx,
  call,
  { path, headers },
  tx,
) => {
  const schedule = found(await lockSchedule(tx, call.tenantId, path.jobScheduleId))
  requireMatch(headers['if-match'], schedule.revision)

  deleteSchedule(tx, call.tenantId, schedule.id)
  record(tx, call, 'job_schedule.deleted', schedule.id, { before: toSchedule(schedule) })
  publish(tx, call, 'job_schedule.deleted', toSchedule(schedule))
  return { status: 204 }
}
