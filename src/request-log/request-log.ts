import type { RequestLogDetail, RequestLogInfo, StatusClass } from '#generated/types.ts'
import type { Bodies, FinishedCall } from '#http/trail.ts'
import { type Id, type TenantId, timeOf } from '#ids.ts'
import { maskBody, withoutSecrets } from './mask.ts'

/**
 * The *request log* has a row for each call: who asked what, how it was answered, how long that
 * took. Rows are written in batches by the process that answered, after the answer has gone out, so
 * a call never waits for its row, and a row that cannot be written costs nobody a call. Promised: a
 * row within a second or two, no secret in any column. Not promised: rows of a process that is
 * killed, or of a database that stays away for long; how many are missing is told by the next one.
 */
export type RequestLog = Omit<RequestLogDetail, 'id' | 'occurredAt'> & {
  id: Id<'req'>
  tenantId: TenantId
  occurredAt: Date
}

/** A call on its way into the log. */
export interface Entry {
  call: FinishedCall
  /** Where the policy lets them be kept. */
  bodies: Bodies | undefined
  leftOutBefore: number
}

/** The longest text of a stranger's that goes into a column. */
const textMax = 255

export function newRequestLog({ call, bodies, leftOutBefore }: Entry): RequestLog {
  const { operation } = call
  const secretNames = operation?.secretNames ?? []
  return {
    id: call.id,
    tenantId: call.tenantId,
    occurredAt: new Date(timeOf(call.id)),
    operationId: operation?.operationId ?? null,
    method: call.method.slice(0, 16),
    path: operation === undefined ? (bounded(call.path) ?? '') : call.path,
    status: call.status,
    code: call.code,
    durationMs: call.durationMs,
    authMs: call.authMs,
    handlerMs: call.handlerMs,
    apiKeyId: call.apiKeyId,
    requestBytes: call.requestBytes,
    responseBytes: call.responseBytes,
    isLimited: call.status === 429,
    limitState: bounded(call.limitState),
    isReplay: call.isReplay,
    correlationId: withoutSecrets(call.correlationId),
    ip: call.ip,
    userAgent: bounded(call.userAgent),
    leftOutBefore,
    requestBody: maskBody(bodies?.request, secretNames),
    responseBody: maskBody(bodies?.response, secretNames),
  }
}

/** Searched before it is cut, so that no half of a secret stays. */
function bounded(text: string | null): string | null {
  return text === null ? null : withoutSecrets(text.slice(0, 2_048)).slice(0, textMax)
}

export function toRequestLog(log: RequestLog): RequestLogInfo {
  const { tenantId: _, requestBody: __, responseBody: ___, occurredAt, ...info } = log
  return { ...info, occurredAt: occurredAt.toISOString() }
}

export function toRequestLogDetail(log: RequestLog): RequestLogDetail {
  return {
    ...toRequestLog(log),
    requestBody: log.requestBody,
    responseBody: log.responseBody,
  }
}

/** The hundreds of the statuses of a family. */
export const hundredsOf: Readonly<Record<StatusClass, number>> = {
  SUCCESS: 2,
  REDIRECT: 3,
  CLIENT_ERROR: 4,
  SERVER_ERROR: 5,
}
