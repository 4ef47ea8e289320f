import { setTimeout as sleep } from 'node:timers/promises'
import type { Context } from '#context.ts'
import { transact } from '#db/transact.ts'
import { type JobRun, TaskPause, task } from '#jobs/task.ts'
import {
  countWaiting,
  findLastDeliveries,
  findListeners,
  findRange,
  lockReplay,
  makeDue,
  type ReplayState,
  readPage,
  writeReplay,
} from './replay.sql.ts'
import { asksForPayloads, isAbout, planOf, type ReplayPayload, webhookReplay } from './replay.ts'

const second = 1_000
const day = 24 * 60 * 60 * second

/** Events looked at in one transaction; fewer where it reads what they say. */
const pageMax = { places: 100, payloads: 25 }

export const replayWebhooks = task(webhookReplay, {
  timeoutMs: day,
  attemptsMax: 10,
  backoff: { firstMs: second, mostMs: 60 * second },
  run: replay,
})

/** What came of a page, and whether it was the last. */
interface Turn extends ReplayState {
  firstPosition: number
  /** How many deliveries are due by it; undefined when there was no room for any. */
  made: number | undefined
  isLast: boolean
}

/**
 * A page at a time, each in a transaction that also says how far it is: whoever goes on after a
 * crash repeats nothing and leaves nothing out.
 */
async function replay(ctx: Context, run: JobRun<ReplayPayload>) {
  const { tenantId, payload, signal, progress } = run
  const range = await transact(ctx, tenantId, (tx) => findRange(tx, tenantId, payload))
  for (;;) {
    signal.throwIfAborted()
    const startMs = performance.now()
    const turn = await takeTurn(ctx, run, range)
    progress(turn.position - turn.firstPosition, turn.untilPosition - turn.firstPosition)
    // For others to be told first it holds no slot, and nobody's end costs it an attempt.
    if (turn.made === undefined) throw new TaskPause(second)
    if (turn.isLast) return { eventCount: turn.eventCount, deliveryCount: turn.deliveryCount }
    const tookMs = performance.now() - startMs
    const restMs = (turn.made * second) / payload.deliveriesPerSecond - tookMs
    if (restMs >= 1) await sleep(restMs, undefined, { signal })
  }
}

async function takeTurn(
  ctx: Context,
  { tenantId, jobId, payload }: JobRun<ReplayPayload>,
  range: ReplayState,
): Promise<Turn> {
  return await transact(ctx, tenantId, async (tx) => {
    const now = ctx.clock.now()
    const state = (await lockReplay(tx, tenantId, jobId)) ?? range
    const listeners = await findListeners(tx, tenantId, payload)
    const turn = { ...state, firstPosition: range.position, made: undefined, isLast: false }
    // Two seconds' worth before them is enough: behind it waits what happens now.
    const room = 2 * payload.deliveriesPerSecond
    if ((await countWaiting(tx, tenantId, listeners, now, room)) >= room) return turn

    const withPayloads = asksForPayloads(payload, listeners)
    const limit = withPayloads ? pageMax.payloads : pageMax.places
    const page = await readPage(tx, tenantId, state, { limit, withPayloads })
    const events = page.events.filter((event) => isAbout(payload, event))
    const promised =
      events.length * listeners.length === 0
        ? []
        : await findLastDeliveries(tx, tenantId, events, listeners)
    const plan = planOf(payload, events, listeners, promised, payload.deliveriesPerSecond)
    const made = plan.again.length + plan.fresh.length
    const next = {
      position: plan.cutAt ?? page.position,
      untilPosition: state.untilPosition,
      eventCount: state.eventCount + plan.eventCount,
      deliveryCount: state.deliveryCount + made,
    }
    makeDue(tx, tenantId, plan, now, () => (payload.webhookId === 'NEW' ? tx.newId('msg') : null))
    writeReplay(tx, { tenantId, jobId, ...next, now })
    return { ...turn, ...next, made, isLast: next.position >= next.untilPosition }
  })
}
