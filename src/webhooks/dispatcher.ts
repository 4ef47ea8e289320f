import { Counter, Histogram } from 'prom-client'
import type { Context } from '../context.ts'
import type { Outcome } from '../egress/outcome.ts'
import { runLoop } from '../jobs/loop.ts'
import type { TenantId } from '../ids.ts'
import { signatureHeaders } from '../secrets/signature.ts'
import { nameOutcome, nextStep } from './dispatch.ts'
import {
  type Claimed,
  type ClaimRequest,
  claimDeliveries,
  type Recorded,
  type RecordedAttempt,
  recordOutcomes,
  releaseLeases,
  withdrawUnwanted,
} from './dispatch.sql.ts'
import { secretPlace } from './secret.ts'

/*
 * The *dispatcher* claims what is due, sends it, and records what came of it. Between claim and
 * record no transaction is open: a receiver that hangs holds a slot and its lease, nothing else.
 * Claiming, sending and recording overlap; a claim is made when slots are free, a record when
 * outcomes have gathered or nothing else is under way.
 */

const slotsMax = 256
const endpointInFlightMax = 10
const deadlineMs = 15_000
const connectMs = 5_000
const responseBytesMax = 16 * 1024
/** Longer than any attempt, with room for its record. */
const leaseMs = 60_000
const idleMs = 50
const recordMax = 200
const withdrawEveryMs = 1_000

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
  onGone: (tenantId: TenantId, endpointId: string) => Promise<void>,
): Dispatcher {
  const inFlight = new Set<Claimed>()
  const token = ctx.clock.randomBytes(16).toString('base64url')
  let after: ClaimRequest['after'] = { tenantId: '', endpointId: '' }
  let withdrawnAtMs = 0
  let isStopping = false
  const outcomes: { recorded: Recorded; isGone: boolean }[] = []

  const recorder = runLoop({ name: 'dispatcher-record', idleMs: 1_000, log: ctx.log, pass: record })
  const claimer = runLoop({ name: 'dispatcher-claim', idleMs, log: ctx.log, pass: claim })

  async function claim(): Promise<boolean> {
    const nowMs = ctx.clock.now().getTime()
    if (Math.abs(nowMs - withdrawnAtMs) >= withdrawEveryMs) {
      withdrawnAtMs = nowMs
      await withdrawUnwanted(ctx.db.worker)
    }
    const limit = slotsMax - inFlight.size
    if (limit === 0) return false
    const now = ctx.clock.now()
    const request = { token, limit, endpointInFlightMax, leaseMs, now, after }
    const result = await claimDeliveries(ctx.db.worker, request)
    const isWrapped = after.tenantId !== '' && result.after.tenantId === ''
    after = result.after
    for (const claimed of result.claimed) {
      inFlight.add(claimed)
      void deliver(claimed)
    }
    // More lanes behind the last one looked at, or before the first: look at once.
    return after.tenantId !== '' || isWrapped
  }

  async function deliver(claimed: Claimed): Promise<void> {
    const startedAt = ctx.clock.now()
    const outcome = await attempt(ctx, claimed, startedAt).catch((error): Outcome => {
      ctx.log.error({ err: error, deliveryId: claimed.deliveryId }, 'a delivery could not be sent')
      return { kind: 'failed', reason: 'aborted', detail: 'We could not send it.', durationMs: 0 }
    })
    // What the stop cut short stays in flight, to be given back without spending an attempt.
    if (isStopping && outcome.kind === 'failed' && outcome.reason === 'aborted') return
    inFlight.delete(claimed)
    attemptsTotal.inc({ outcome: nameOutcome(outcome) })
    attemptSeconds.observe(outcome.durationMs / 1_000)
    outcomes.push(conclude(ctx, claimed, token, outcome, startedAt))
    recorder.wake()
  }

  async function record(): Promise<boolean> {
    const batch = outcomes.slice(0, recordMax)
    if (batch.length === 0) return false
    await recordOutcomes(
      ctx.db.worker,
      batch.map(({ recorded }) => recorded),
    )
    // Taken off only now: what could not be recorded is recorded by the next pass.
    outcomes.splice(0, batch.length)
    for (const { recorded, isGone } of batch) {
      const { tenantId, endpointId } = recorded.claimed
      if (isGone) await onGone(tenantId, endpointId)
    }
    claimer.wake()
    return outcomes.length > 0
  }

  return {
    wake: () => claimer.wake(),
    async stop(drainMs) {
      isStopping = true
      await claimer.stop()
      await settled(() => inFlight.size === 0 && outcomes.length === 0, drainMs)
      await recorder.stop()
      if (inFlight.size > 0) await releaseLeases(ctx.db.worker, [...inFlight], token)
    },
  }
}

/** Waits until `isSettled`, or as long as it may take. */
async function settled(isSettled: () => boolean, limitMs: number): Promise<void> {
  const endMs = performance.now() + limitMs
  while (!isSettled() && performance.now() < endMs) {
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** Sends the stored bytes, signed for this very attempt. */
async function attempt(ctx: Context, claimed: Claimed, startedAt: Date): Promise<Outcome> {
  const { tenantId, endpointId, eventId, url, body } = claimed
  const secret = ctx.secrets.open(secretPlace(tenantId, endpointId), claimed.secret).toString()
  return await ctx.egress.send({
    method: 'POST',
    url,
    body,
    headers: {
      'content-type': 'application/json',
      'user-agent': 'UBOS-Webhooks/1',
      'x-correlation-id': claimed.correlationId,
      ...signatureHeaders({
        id: eventId,
        timestampSeconds: Math.floor(startedAt.getTime() / 1_000),
        body,
        secrets: [secret],
      }),
    },
    deadlineMs,
    connectMs,
    responseBytesMax,
    isRepeatable: true,
    lane: endpointId,
  })
}

/** Turns an outcome into what is recorded of it. */
function conclude(
  { clock }: Context,
  claimed: Claimed,
  token: string,
  outcome: Outcome,
  startedAt: Date,
): { recorded: Recorded; isGone: boolean } {
  const endedAt = clock.now()
  const random = clock.randomBytes(4).readUInt32BE() / 2 ** 32
  const next = nextStep(outcome, claimed.retryCount, endedAt, random)
  const responseStatus = outcome.kind === 'answered' ? outcome.status : null
  const attempts: RecordedAttempt[] = []
  let number = claimed.attemptCount
  if (claimed.interruptedAt !== null) {
    number += 1
    attempts.push(interruption(clock.newId('att'), number, claimed.interruptedAt))
  }
  attempts.push({
    id: clock.newId('att'),
    number: number + 1,
    startedAt,
    durationMs: outcome.durationMs,
    outcome: nameOutcome(outcome),
    responseStatus,
    responseBody: outcome.kind === 'answered' ? outcome.body : null,
    error: outcome.kind === 'failed' ? outcome.detail : null,
    address: outcome.kind === 'answered' ? outcome.address : null,
  })
  return {
    isGone: next.kind === 'gone',
    recorded: {
      claimed,
      token,
      attempts,
      next: next.kind === 'retry' ? next.at : next.kind === 'done' ? 'DELIVERED' : 'EXHAUSTED',
      retryCount: claimed.retryCount + (next.kind === 'retry' ? 1 : 0),
      responseStatus,
      endedAt,
    },
  }
}

/** What is known of an attempt whose worker died: when its lease began. */
function interruption(id: string, number: number, leasedUntil: Date): RecordedAttempt {
  return {
    id,
    number,
    startedAt: new Date(leasedUntil.getTime() - leaseMs),
    durationMs: 0,
    outcome: 'INTERRUPTED',
    responseStatus: null,
    responseBody: null,
    error: 'The process that sent this stopped before it could record the answer.',
    address: null,
  }
}
