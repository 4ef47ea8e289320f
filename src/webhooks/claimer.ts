import type { Context } from '#context.ts'
import { faultPoints, reach } from '#fault-points.ts'
import type { TenantId } from '#ids.ts'
import { runLoop } from '#jobs/loop.ts'
import { leaseToken, type Presence } from '#jobs/presence.ts'
import { type Claimed, type Claims, claimDeliveries, noLane } from './claim.sql.ts'
import { createCourtesy } from './courtesy.ts'
import { cancelDeliveries, releaseClaim } from './dispatch.sql.ts'
import { leaseMs } from './dispatch.ts'
import { endpointInFlightMax } from './options.ts'

/** Claims what is due when there are slots for it: when woken, and when slots became free. */
export interface Claimer {
  wake(): void
  /** Some slots are free again, and others soon will be, unless none is taken any more. */
  freed(): void
  /** Claims nothing more. */
  stop(): Promise<void>
}

const slotsMax = 1_024
/** What becomes due meanwhile waits until a claim is made and what it holds is begun. */
const claimMax = 100
const idleMs = 50
/** Slots that became free wait so long for others, since a claim costs most by being made. */
const soonMs = 15
/** How busy the process is, is looked at so often. */
const lookApartMs = 100

/** Puts into `inFlight` what it claims, before `begin` is told of it. */
export function runClaimer(
  ctx: Context,
  presence: Presence,
  inFlight: Set<Claimed>,
  begin: (claims: readonly Claimed[]) => Promise<void>,
): Claimer {
  const courtesy = createCourtesy()
  const busyPart = createBusyMeter()
  let after = noLane
  /** Of a claim whose answer was lost: what it took, if anything, nobody will send. */
  let lost: string | undefined
  /** Set while somebody who lets others go first has a turn to come. */
  let turn: NodeJS.Timeout | undefined

  const loop = runLoop({
    ...{ name: 'dispatcher-claim', log: ctx.log, pass: claim },
    ...{ idleMs, soonMs },
  })

  async function claim(): Promise<boolean> {
    // The rest of a batch may have come on top.
    const free = Math.max(0, slotsMax - inFlight.size)
    const limit = Math.min(free, claimMax)
    if (limit === 0 || !presence.isHeld()) return false
    await giveLostBack()
    const { claimed, deleted } = await take(free, limit)
    if (claimed.length > 0) reach(faultPoints.deliveryClaimed)
    for (const one of claimed) inFlight.add(one)
    await begin(claimed)
    if (deleted.length > 0) await cancelDeliveries(ctx.db.worker, deleted)
    return after !== noLane || claimed.length >= limit
  }

  async function giveLostBack(): Promise<void> {
    if (lost !== undefined) await releaseClaim(ctx.db.worker, lost)
    lost = undefined
  }

  async function take(free: number, limit: number): Promise<Claims> {
    const nowMs = performance.now()
    const busy = busyPart(nowMs)
    if (busy !== undefined) courtesy.wasBusy(busy, nowMs)
    // Half of what the others leave: however many hang, the tenants behind them find slots.
    const tenantRoom = Math.min(Math.ceil(free / 2), courtesy.most())
    const token = leaseToken(presence.id, ctx.clock.randomBytes(16))
    lost = token
    const claims = await claimDeliveries(ctx.db.claims, {
      ...{ token, limit, endpointInFlightMax, leaseMs, after, now: ctx.clock.now(), tenantRoom },
      tenantRooms: roomsOf(inFlight, free, tenantRoom, courtesy.waiting(nowMs)),
    })
    lost = undefined
    after = claims.after
    courtesy.took(countsOf(claims.claimed), performance.now())
    comeBack()
    return claims
  }

  function comeBack(): void {
    clearTimeout(turn)
    turn = undefined
    const nowMs = performance.now()
    const turnMs = courtesy.nextTurnMs(nowMs)
    if (turnMs !== undefined) turn = setTimeout(hasTurn, turnMs - nowMs)
  }

  function hasTurn(): void {
    turn = undefined
    loop.wake()
  }

  return {
    wake: loop.wake,
    freed() {
      // What slots would be needed for is claimed at its turn.
      if (turn !== undefined) return
      if (inFlight.size === 0) loop.wake()
      else loop.wakeSoon()
    },
    async stop() {
      await loop.stop()
      clearTimeout(turn)
      // Else it is freed when its lease ends, as if it had been tried.
      await giveLostBack().catch(() => undefined)
    },
  }
}

/**
 * How many more each tenant may have that has some: half of what is free but for its own, and at most
 * so many; those who wait, none.
 */
function roomsOf(
  claims: Iterable<Claimed>,
  free: number,
  most: number,
  waiting: readonly TenantId[],
): Map<TenantId, number> {
  const rooms = countsOf(claims)
  for (const [tenantId, count] of rooms) {
    rooms.set(tenantId, Math.min(most, Math.max(0, Math.ceil((free - count) / 2))))
  }
  for (const tenantId of waiting) rooms.set(tenantId, 0)
  return rooms
}

function countsOf(claims: Iterable<Claimed>): Map<TenantId, number> {
  const counts = new Map<TenantId, number>()
  for (const { tenantId } of claims) counts.set(tenantId, (counts.get(tenantId) ?? 0) + 1)
  return counts
}

/** Says which part of the time since it said so last the process was busy; nothing if that is not long. */
function createBusyMeter(): (nowMs: number) => number | undefined {
  let before = performance.eventLoopUtilization()
  let lookedMs = performance.now()
  return (nowMs) => {
    if (nowMs - lookedMs < lookApartMs) return undefined
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, before)
    before = now
    lookedMs = nowMs
    return utilization
  }
}
