import type { Operation } from '#http/operation.ts'
import { pageOf, toPage } from '#http/page.ts'
import { found } from '#http/problem.ts'
import { findRequestLog, pageRequestLogs } from './request-log.sql.ts'
import { toRequestLog, toRequestLogDetail } from './request-log.ts'

export const listRequestLogs: Operation<'listRequestLogs'> = async (ctx, call, { query }, db) => {
  const page = pageOf(ctx, call, 'request-logs', query)
  const logs = await pageRequestLogs(db, call.tenantId, query, page)
  return {
    status: 200,
    body: toPage(ctx, call, 'request-logs', query, logs, ({ id }) => [id], toRequestLog),
  }
}

export const getRequestLog: Operation<'getRequestLog'> = async (_ctx, call, { path }, db) => {
  const log = found(await findRequestLog(db, call.tenantId, path.requestId))
  return { status: 200, body: toRequestLogDetail(log) }
}
