import pg from 'pg'
import type { Context } from '#context.ts'
import { isConnectionLoss, type Tx, transact } from '#db/transact.ts'
import { publish } from '#events/publish.ts'
import { systemCause } from '#http/operation.ts'
import { runLoop } from '#jobs/loop.ts'
import { addToHour, findHour, insertSecurityEvent } from './security-event.sql.ts'
import { refusalEvent, toSecurityEvent } from './security-event.ts'
import type { Refusals, Tally } from './tally.ts'
import { addUses } from './usage.sql.ts'

/** How far what is shown of a key's use may be behind. */
const writeEveryMs = 2_000

/** One transaction each: what is left over waits for the next round. */
const refusalsPerRound = 200

export interface Writer {
  /** Writes down what was added up so far; throws when it cannot, and keeps it. */
  write(): Promise<void>
  /** Writes a last time. What cannot be written then is lost, and the log says so. */
  stop(): Promise<void>
}

/**
 * Writes down what a tally adds up, every few seconds. A batch whose commit got lost on the way may
 * be counted twice; one that was not begun is kept for the next time.
 */
export function runWriter(ctx: Context, tally: Tally): Writer {
  async function writeUses(): Promise<void> {
    const uses = tally.takeUses()
    if (uses.length === 0) return
    try {
      await addUses(ctx.db.worker, uses)
    } catch (error) {
      tally.returnUses(uses)
      throw error
    }
  }

  async function writeRefusals(): Promise<void> {
    const waiting = tally.takeRefusals()
    tally.returnRefusals(waiting.splice(refusalsPerRound))
    const failures: unknown[] = []
    for (const refused of waiting) {
      // A database that is away would be asked in vain, for seconds each time.
      const isAway = failures.some(isConnectionLoss)
      const failure = isAway ? failures[0] : await failureOf(writeRefused(ctx, refused))
      if (failure === undefined) continue
      failures.push(failure)
      tally.returnRefusals([refused])
    }
    if (failures.length > 0) throw failures[0]
  }

  async function write(): Promise<void> {
    const dropped = tally.takeDropped()
    if (dropped > 0) ctx.log.warn({ dropped }, 'calls were not counted: there was no room')
    const [uses, refusals] = await Promise.allSettled([writeUses(), writeRefusals()])
    if (uses.status === 'rejected') throw uses.reason
    if (refusals.status === 'rejected') throw refusals.reason
  }

  const loop = runLoop({
    name: 'key-use',
    idleMs: writeEveryMs,
    log: ctx.log,
    async pass() {
      await write()
      return false
    },
  })
  return {
    write,
    async stop() {
      await loop.stop()
      await write().catch((error) => {
        ctx.log.warn({ err: error }, 'the last uses of keys were not written down')
      })
    },
  }
}

/**
 * Adds refusals to the event of their key, kind and hour. The first makes it, and is published: so
 * whoever listens hears of it once an hour, over all processes.
 */
async function writeRefused(ctx: Context, refused: Refusals): Promise<void> {
  const { tenantId } = refused
  const cause = systemCause(ctx, 'key-watch')
  const work = async (tx: Tx) => {
    const known = await findHour(tx, tenantId, refused)
    if (known !== undefined) return addToHour(tx, tenantId, known, refused)
    const event = refusalEvent(tx.newId('sec'), refused)
    insertSecurityEvent(tx, tenantId, event)
    publish(tx, cause, 'api_key.suspicious', toSecurityEvent(event))
  }
  try {
    await transact(ctx, tenantId, work)
  } catch (error) {
    // Another process was first in this hour, between our look and our commit.
    if (!isHourTaken(error)) throw error
    await transact(ctx, tenantId, work)
  }
}

function isHourTaken(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.constraint === 'api_security_event_hour_key'
}

function failureOf(work: Promise<void>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error) => error ?? new Error('failed without a reason'),
  )
}
