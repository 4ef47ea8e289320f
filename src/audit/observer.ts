import { Counter } from 'prom-client'
import type { Context } from '#context.ts'
import { isUnwritable } from '#db/errors.ts'
import type { Call, Cause } from '#http/operation.ts'
import { operatorTenantId } from '#ids.ts'
import { runLoop } from '#jobs/loop.ts'
import { maskedJson } from './mask.ts'
import { insertObserved, type Observed } from './observed.sql.ts'
import { countRefusals, type Refusal } from './refusals.ts'

/**
 * The *observer* writes down what changes nothing: keys that are refused, and confidential things
 * that are read. It costs the request no query: entries are gathered here and written a moment
 * later, in batches. What does not fit is dropped and counted, and the audit says that it was. Of
 * a process that is killed, the last moment's observations are lost, and up to a minute of refusals.
 */
export interface Observer {
  refused(cause: Omit<Cause, 'actor'>, refusal: Refusal): void
  /** `details` say what was read; `resourceId` is null for a list. */
  read(call: Call, action: string, resourceId: string | null, details: object): void
  /** Writes what is left. */
  stop(): Promise<void>
}

/** For servers that take no keys and show nothing. */
export const blindObserver: Observer = {
  refused: () => undefined,
  read: () => undefined,
  stop: async () => undefined,
}

const waitingMax = 10_000
const batchMax = 500
const writeEveryMs = 500

const dropped = new Counter({
  name: 'ubos_audit_dropped_total',
  help: 'Observations that were too many to be written into the audit.',
})

export function createObserver({ db, clock, log }: Context): Observer {
  const waiting: Observed[] = []
  let droppedCount = 0
  const drop = (count = 1) => {
    droppedCount += count
    dropped.inc(count)
  }
  const newId = () => clock.newId('aud')
  const refusals = countRefusals(newId, drop)

  function gather(entries: readonly Observed[]): void {
    const room = Math.max(waitingMax - waiting.length, 0)
    waiting.push(...entries.slice(0, room))
    if (entries.length > room) drop(entries.length - room)
  }

  /** Writes the next batch; what the database will never take is dropped, or it would block all. */
  async function write(): Promise<void> {
    const batch = waiting.slice(0, batchMax)
    if (batch.length === 0) return
    try {
      await insertObserved(db.worker, batch)
    } catch (error) {
      if (!isUnwritable(error)) throw error
      log.error({ err: error, count: batch.length }, 'observations cannot be written')
      drop(batch.length)
    }
    waiting.splice(0, batch.length)
  }

  let saidMs = Number.NEGATIVE_INFINITY

  /** That something was dropped is said at most once a minute. */
  function sayDropped(isTheEnd: boolean): void {
    const nowMs = clock.now().getTime()
    if (droppedCount === 0 || (!isTheEnd && nowMs - saidMs < 60_000)) return
    saidMs = nowMs
    waiting.push(droppedEntry(newId(), clock.newId('req'), droppedCount))
    droppedCount = 0
  }

  async function pass(): Promise<boolean> {
    gather(refusals.take(clock.now(), false))
    sayDropped(false)
    await write()
    return waiting.length > 0
  }

  const loop = runLoop({ name: 'observer', pass, idleMs: writeEveryMs, log })
  return {
    refused: refusals.add,
    read(call, action, resourceId, details) {
      gather([readEntry(newId(), call, action, resourceId, details)])
    },
    async stop() {
      await loop.stop()
      gather(refusals.take(clock.now(), true))
      sayDropped(true)
      try {
        while (waiting.length > 0) await write()
      } catch (error) {
        log.error({ err: error, count: waiting.length }, 'observations are lost')
      }
    },
  }
}

function readEntry(
  id: string,
  call: Call,
  action: string,
  resourceId: string | null,
  details: object,
): Observed {
  const { tenantId, requestId, correlationId, ip, actor } = call
  return {
    tenantId,
    id,
    action,
    resourceId,
    actorType: actor.type,
    actorId: actor.id,
    requestId,
    correlationId,
    ip,
    details: maskedJson(details),
  }
}

function droppedEntry(id: string, requestId: string, count: number): Observed {
  return {
    tenantId: operatorTenantId,
    id,
    action: 'audit_entry.dropped',
    resourceId: null,
    actorType: 'SYSTEM',
    actorId: 'observer',
    requestId,
    correlationId: requestId,
    ip: null,
    details: maskedJson({ count }),
  }
}
