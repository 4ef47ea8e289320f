import { setImmediate } from 'node:timers/promises'
import { Counter, Histogram } from 'prom-client'
import type { Context } from '#context.ts'
import { isUnwritable, problemOf } from '#db/errors.ts'
import { faultPoints, reach } from '#fault-points.ts'
import { Problem } from '#http/problem.ts'
import { settled } from '#jobs/drain.ts'
import { runLoop } from '#jobs/loop.ts'
import type { Presence } from '#jobs/presence.ts'
import { signatureHeaders } from '#secrets/signature.ts'
import { leaveBatch } from './batch.sql.ts'
import { type Packed, pack, togetherOf } from './batch.ts'
import type { Claimed } from './claim.sql.ts'
import { runClaimer } from './claimer.ts'
import { conclude, concludeAll } from './conclude.ts'
import { headersToSend } from './custom-header.ts'
import { type Recorded, recordOutcomes, releaseLeases } from './dispatch.sql.ts'
import { type Attempted, nameOutcome } from './dispatch.ts'
import { headerKeeper } from './header-keeper.ts'
import { runMetricWriter } from './metric-writer.ts'
import { createPayloads } from './payload.ts'
import { userAgent } from './sender.ts'
import { createSigners } from './signers.ts'
import { isTelling, recordTelling } from './telling.sql.ts'

/*
 * The *dispatcher* claims what is due, sends it, and records what came of it. Between claim and
 * record no transaction is open: a receiver that hangs holds a slot and its lease, nothing else.
 * Claiming, sending and recording overlap; a claim is made when slots are free, a record when
 * outcomes have gathered or nothing else is under way. A slot is free again once its outcome is
 * recorded, so what a slow database leaves unrecorded is bounded too.
 */

const deadlineMs = 15_000
const connectMs = 5_000
const responseBytesMax = 16 * 1024
const begunAtOnce = 10
/** Outcomes wait so long for others, or until there are so many: a record costs most by being made. */
const recordsApartMs = 5
const recordMin = 50
const recordMax = 200
/** How long a worker that stops tries to write down its last figures. */
const lastRowsMs = 2_000

const attemptsTotal = new Counter({
  name: 'ubos_webhook_attempts_total',
  help: 'Attempts at deliveries, by outcome.',
  labelNames: ['outcome'],
})
const attemptSeconds = new Histogram({
  name: 'ubos_webhook_attempt_seconds',
  help: 'How long attempts took.',
  buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15],
})

export interface Dispatcher {
  wake(): void
  /** Claims nothing more, lets what is under way end, and gives the rest back. */
  stop(drainMs: number): Promise<void>
}

/** `onGone` is told of endpoints that answered 410. */
export function runDispatcher(
  ctx: Context,
  presence: Presence,
  onGone: (claimed: Claimed) => Promise<void>,
): Dispatcher {
  /** Claimed by us, and not recorded yet. */
  const inFlight = new Set<Claimed>()
  const concluded: Recorded[] = []
  const cut = new AbortController()
  const signersOf = createSigners(ctx)
  const payloadOf = createPayloads(ctx)
  const metrics = runMetricWriter(ctx)
  /** So many at the front are recorded one by one: with one of them a whole batch was refused. */
  let suspects = 0

  const recorder = runLoop({
    ...{ name: 'dispatcher-record', log: ctx.log, pass: record },
    ...{ idleMs: 1_000, soonMs: recordsApartMs },
  })
  const claimer = runClaimer(ctx, presence, inFlight, sendAll)

  /** Begins a few at a time: everybody else in this process waits until they have begun. */
  async function sendAll(claims: readonly Claimed[]): Promise<void> {
    for (const [at, together] of togetherOf(claims).entries()) {
      if (at > 0 && at % begunAtOnce === 0) await setImmediate()
      const [claimed] = together
      if (claimed !== undefined) void (claimed.batchId ? deliverBatch(together) : deliver(claimed))
    }
  }

  /** Records at once what is enough or all that there is, and the rest when it has waited. */
  function recordSoon(): void {
    const isAll = concluded.length === inFlight.size
    if (isAll || concluded.length >= recordMin) recorder.wake()
    else recorder.wakeSoon()
  }

  /** Of a batch, the first delivery stands for all: its mates share what comes of it. */
  async function deliverBatch(claims: readonly Claimed[]): Promise<void> {
    const packed = await packUp(claims).catch(async (error) => {
      // Nothing has left under the id of the batch, which stays as it is.
      ctx.log.error({ err: error, batchId: claims[0]?.batchId }, 'a batch could not be made')
      await giveBack(claims)
    })
    const [first, ...mates] = packed?.sent ?? []
    if (packed && first) await deliver(first, { mates, body: packed.body })
  }

  /** What goes; what does not is out of the batch before anything is sent under its id. */
  async function packUp(claims: readonly Claimed[]): Promise<Packed<Claimed>> {
    const startedAt = ctx.clock.now()
    const made = claims.map(async (claimed) => ({ claimed, body: await bodyOf(claimed) }))
    const packed = pack(await Promise.all(made))
    const { left, failed } = packed
    const failures = failed.map(({ claimed }) => claimed)
    await leaveBatch(ctx.db.worker, left, failures)
    for (const claimed of left) inFlight.delete(claimed)
    for (const { claimed, outcome } of failed) {
      attemptsTotal.inc({ outcome: nameOutcome(outcome) })
      concluded.push(conclude(ctx.clock, claimed, outcome, startedAt))
    }
    if (failed.length > 0) recordSoon()
    return packed
  }

  async function deliver(claimed: Claimed, batch?: Batch): Promise<void> {
    const { endpointId, deliveryId } = claimed
    const mates = batch?.mates ?? []
    const startedAt = ctx.clock.now()
    const outcome = await attempt(claimed, startedAt, batch?.body).catch((error) => {
      ctx.log.error({ err: error, deliveryId }, 'a delivery could not be sent')
      return isPassing(error) ? undefined : couldNotSend
    })
    if (outcome === undefined) return await giveBack([claimed, ...mates])
    // What the stop cut short stays in flight, to be given back without spending an attempt.
    if (cut.signal.aborted && outcome.kind === 'failed' && outcome.reason === 'aborted') return
    attemptsTotal.inc({ outcome: nameOutcome(outcome) })
    attemptSeconds.observe(outcome.durationMs / 1_000)
    // While its lease is held nothing more is claimed in its place: the endpoint hears no more.
    if (nameOutcome(outcome) === 'GONE') {
      await onGone(claimed).catch((error) =>
        ctx.log.error({ err: error, endpointId }, 'an endpoint that is gone was not disabled'),
      )
    }
    concluded.push(...concludeAll(ctx.clock, [claimed, ...mates], outcome, startedAt))
    recordSoon()
  }

  /** What was not tried waits again, no attempt spent; where that fails, until its lease ends. */
  async function giveBack(claims: readonly Claimed[]): Promise<void> {
    await releaseLeases(ctx.db.worker, claims).catch(() => undefined)
    for (const claimed of claims) inFlight.delete(claimed)
  }

  const bodyOf = async (claimed: Claimed) =>
    claimed.hasTransformed ? await payloadOf(claimed) : claimed.body

  /** Sends the stored bytes, signed for this very attempt. */
  async function attempt(claimed: Claimed, startedAt: Date, whole?: Buffer): Promise<Attempted> {
    const { endpointId, webhookId, traceparent, url, allowedHosts } = claimed
    const body = whole ?? (await bodyOf(claimed))
    if (!Buffer.isBuffer(body)) return body
    return await ctx.egress.send({
      method: 'POST',
      ...{ url, allowedHosts },
      body,
      headers: {
        ...ownHeadersOf(ctx, claimed),
        'content-type': 'application/json',
        'user-agent': userAgent,
        'x-correlation-id': claimed.correlationId,
        ...(traceparent === null ? {} : { traceparent }),
        ...signatureHeaders({
          id: webhookId,
          timestampSeconds: Math.floor(startedAt.getTime() / 1_000),
          body,
          ...signersOf(claimed, startedAt),
        }),
      },
      ...{ deadlineMs, connectMs, responseBytesMax, signal: cut.signal },
      isRepeatable: true,
      lane: endpointId,
    })
  }

  async function record(): Promise<boolean> {
    const batch = concluded.slice(0, suspects > 0 ? 1 : recordMax)
    if (batch.length === 0) return false
    reach(faultPoints.deliveryBeforeRecord)
    try {
      await recordBatch(ctx, batch)
      reach(faultPoints.deliveryAfterRecord)
      metrics.note(batch)
    } catch (error) {
      if (!isUnwritable(error)) throw error
      if (batch.length > 1) {
        suspects = batch.length
        return true
      }
      const deliveryId = batch[0]?.claimed.deliveryId
      ctx.log.error({ err: error, deliveryId }, 'an outcome cannot be recorded')
    }
    suspects = Math.max(0, suspects - 1)
    // Taken off only now: what could not be recorded is recorded by the next pass.
    concluded.splice(0, batch.length)
    for (const { claimed } of batch) inFlight.delete(claimed)
    claimer.freed()
    if (concluded.length > 0) recordSoon()
    return suspects > 0
  }

  /** Records what was still concluded, and gives back the rest; else the leases end by themselves. */
  async function finish(): Promise<void> {
    while (concluded.length > 0) await record()
    if (inFlight.size > 0) await releaseLeases(ctx.db.worker, [...inFlight])
  }

  return {
    wake: claimer.wake,
    async stop(drainMs) {
      await claimer.stop()
      await settled(() => inFlight.size === 0, drainMs)
      cut.abort()
      await recorder.stop()
      await finish().catch((error) => ctx.log.warn({ err: error }, 'leases were not given back'))
      await metrics.stop(lastRowsMs)
    },
  }
}

/** Of what is nobody's fault but ours, and will not be so again. */
const couldNotSend: Attempted = {
  ...({ kind: 'failed', reason: 'aborted' } as const),
  ...{ detail: 'We could not send it.', durationMs: 0 },
}

/** Whether nothing was tried since we are busy, or Postgres is away: later it can be. */
function isPassing(error: unknown): boolean {
  return error instanceof Problem || problemOf(error) !== undefined
}

/** What goes well is one flush; what says something of an endpoint's health is two. */
async function recordBatch({ db }: Context, batch: readonly Recorded[]): Promise<void> {
  if (!batch.some(isTelling)) return await recordOutcomes(db.worker, batch)
  await recordTelling(db.worker, batch)
}

/** The tenant's own; ours, which are written after them, stand. */
function ownHeadersOf({ secrets }: Context, claimed: Claimed): Record<string, string> {
  if (claimed.headers === null) return {}
  const { open } = headerKeeper(secrets, claimed.tenantId, claimed.endpointId)
  return headersToSend(claimed.headers, open)
}

/** What goes with the first delivery of a batch. */
interface Batch {
  mates: readonly Claimed[]
  /** What is sent of all of them. */
  body: Buffer
}
