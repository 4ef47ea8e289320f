import pg from 'pg'
import { Counter, Gauge } from 'prom-client'
import type { Context } from '#context.ts'
import { problemOf } from '#db/errors.ts'
import type { BodyKeeping } from '#generated/types.ts'
import type { Account, Bodies, FinishedCall } from '#http/trail.ts'
import type { TenantId } from '#ids.ts'
import { drainWithin } from '#jobs/drain.ts'
import { runLoop } from '#jobs/loop.ts'
import { bodyBytesMax } from './mask.ts'
import { listKeepers } from './policy.sql.ts'
import { keepsBodies } from './policy.ts'
import { createQueue } from './queue.ts'
import { insertRequestLogs } from './request-log.sql.ts'
import { newRequestLog } from './request-log.ts'
import { createThinning } from './thinning.ts'

/** Rows are written at least so often, or as soon as so many wait. */
const writeEveryMs = 1_000
const batchMax = 1_000

/** What may wait while the database is away: some 10 s at 2 000 calls a second. */
const bounds = { entriesMax: 20_000, bodyBytesMax: 32 * 1024 * 1024 }

/** Policies are read so often; older than that they are not trusted, and no body is kept. */
const policiesEveryMs = 1_000
const policiesGoodForMs = 5_000

const waiting = new Gauge({
  name: 'ubos_request_log_waiting',
  help: 'Rows of the request log that wait to be written.',
})
const givenUp = new Counter({
  name: 'ubos_request_log_given_up_total',
  help: 'Rows of the request log that were given up because the database did not take them.',
})
const leftOut = new Counter({
  name: 'ubos_request_log_left_out_total',
  help: 'Refused calls beyond those of which a row is written each minute.',
})

/** Writes the request log of this process in batches. A database that is away costs rows only. */
export function runRequestLog(ctx: Pick<Context, 'db' | 'log' | 'clock'>): Account {
  const queue = createQueue(bounds, (count) => givenUp.inc(count))
  const isWritten = createThinning()
  const policies = followPolicies(ctx)

  function note(call: FinishedCall, bodies: Bodies): void {
    if (!isWritten(call)) {
      queue.leaveOut(call.tenantId)
      leftOut.inc()
      return
    }
    const keeping = policies.of(call.tenantId)
    queue.push(call, keepsBodies(keeping, call.status) ? smallOf(bodies) : undefined)
    if (queue.length === batchMax) loop.wake()
  }

  async function write(): Promise<void> {
    const batch = queue.take(batchMax)
    waiting.set(queue.length)
    if (batch.length === 0) return
    try {
      await insertRequestLogs(ctx.db.worker, batch.map(newRequestLog))
    } catch (error) {
      if (mayPass(error)) queue.putBack(batch)
      else queue.giveUp(batch)
      waiting.set(queue.length)
      throw error
    }
  }

  async function pass(): Promise<boolean> {
    const outcomes = await Promise.allSettled([policies.refresh(), write()])
    const failure = outcomes.find((outcome) => outcome.status === 'rejected')
    if (failure !== undefined) throw failure.reason
    return queue.length >= batchMax
  }

  async function drain(): Promise<void> {
    await loop.stop()
    while (queue.length > 0) await write()
  }

  const loop = runLoop({ name: 'request-log', pass, idleMs: writeEveryMs, log: ctx.log })
  return { note, stop: (drainMs) => drainWithin(drainMs, drain(), ctx.log) }
}

/** Bodies that are too large to be kept need not be held until then. */
function smallOf({ request, response }: Bodies): Bodies {
  return {
    request: (request?.length ?? 0) <= bodyBytesMax ? request : undefined,
    response: (response?.length ?? 0) <= bodyBytesMax ? response : undefined,
  }
}

/** Whether the same rows may be taken later: the database is away, or a partition is missing. */
function mayPass(error: unknown): boolean {
  if (error instanceof pg.DatabaseError && error.code === '23514') return true
  return problemOf(error) !== undefined
}

/** Which tenants keep bodies, as read a moment ago; NONE where nothing is known. */
function followPolicies({ db, clock }: Pick<Context, 'db' | 'clock'>) {
  let keepers = new Map<TenantId, BodyKeeping>()
  let readMs = Number.NEGATIVE_INFINITY

  return {
    async refresh(): Promise<void> {
      const nowMs = clock.now().getTime()
      if (nowMs - readMs < policiesEveryMs) return
      keepers = await listKeepers(db.worker)
      readMs = nowMs
    },
    of(tenantId: TenantId): BodyKeeping {
      const keeping = keepers.get(tenantId)
      if (keeping === undefined || clock.now().getTime() - readMs > policiesGoodForMs) return 'NONE'
      return keeping
    },
  }
}
