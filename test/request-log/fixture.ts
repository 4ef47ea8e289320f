import type { FinishedCall } from '#http/trail.ts'
import { firstIdAt, operatorTenantId, tenantId } from '#ids.ts'
import { until } from '../jobs/until.ts'
import type { Api, Reply, World } from '../world.ts'

/** A row as the database has it. */
// biome-ignore lint/suspicious/noExplicitAny: tests read what they expect to be there
export type Row = Record<string, any>

/** The row of a call, once it has been written. */
export async function rowOf(world: World, reply: Reply | Response): Promise<Row> {
  const id = String(reply.headers.get('x-request-id'))
  let row: Row | undefined
  await until(async () => {
    row = (await world.query('select * from request_log where id = $1', [id]))[0]
    return row !== undefined
  })
  return row ?? {}
}

/** Waits until bodies are kept as `keepBodies` says in the process that serves `api`. */
export async function setPolicy(
  world: World,
  api: Api,
  keepBodies: 'NONE' | 'ERRORS' | 'ALL',
): Promise<void> {
  await api.patch('/api/v1/request-log-policy', { keepBodies })
  await until(async () => {
    const replies = [await api.get('/api/v1/clients?none=1'), await api.get('/api/v1/me')]
    const rows = await Promise.all(replies.map((reply) => rowOf(world, reply)))
    const kept = rows.map(({ response_body: body }) => body !== null)
    return String(kept) === String([keepBodies !== 'NONE', keepBodies === 'ALL'])
  })
}

/** A call that was answered, with what a test says of it. */
export function aCall(told: Partial<FinishedCall> = {}): FinishedCall {
  return {
    id: firstIdAt('req', told.finishedAtMs ?? Date.now()),
    tenantId: operatorTenantId,
    apiKeyId: null,
    isAdmitted: false,
    finishedAtMs: Date.now(),
    operation: undefined,
    method: 'GET',
    path: '/nowhere',
    status: 200,
    code: null,
    durationMs: 1,
    authMs: null,
    handlerMs: null,
    requestBytes: 0,
    responseBytes: 0,
    limitState: null,
    isReplay: false,
    correlationId: 'c',
    ip: null,
    userAgent: null,
    ...told,
  }
}

export const tenantA = tenantId('ten_00000000000000000000000001')
export const tenantB = tenantId('ten_00000000000000000000000002')
