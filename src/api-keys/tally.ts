import type { TenantId } from '#ids.ts'
import type { Refusal } from './verified.ts'

/*
 * What keys do is added up in memory, so that no call waits for it or locks a row, and is taken out
 * now and then to be written down. The memory is bounded: when the database is away for long, what
 * finds no room any more is not counted.
 */

/** One call for which a key was good. */
export interface Use {
  tenantId: TenantId
  keyId: string
  operationId: string
  now: Date
  ip: string | null
  /** Whether it was made with a secret that was rotated out. */
  isPreviousSecret: boolean
}

/** The uses of a key on one UTC day. */
export interface Uses {
  tenantId: TenantId
  keyId: string
  day: number
  calls: Map<string, number>
  lastAt: Date
  lastIp: string | null
  previousSecretAt: Date | null
}

/** One call that was refused though its key exists. */
export interface RefusedUse {
  tenantId: TenantId
  keyId: string
  kind: Refusal
  now: Date
  ip: string | null
}

/** The refusals of a key for one reason in one hour. */
export interface Refusals {
  tenantId: TenantId
  keyId: string
  kind: Refusal
  count: number
  firstAt: Date
  /** The last one. */
  ip: string | null
}

export interface Tally {
  use(use: Use): void
  refuse(refused: RefusedUse): void
  /** Takes out what was added up; the tally begins anew. */
  takeUses(): Uses[]
  takeRefusals(): Refusals[]
  /** Puts back what could not be written down. */
  returnUses(uses: readonly Uses[]): void
  returnRefusals(refusals: readonly Refusals[]): void
  /** How many calls found no room since this was last asked. */
  takeDropped(): number
}

const dayMs = 24 * 60 * 60 * 1_000
const hourMs = 60 * 60 * 1_000

/** `countersMax` bounds the pairs of key and operation, and the refusals, that are remembered. */
export function createTally(countersMax = 50_000): Tally {
  let uses = new Map<string, Uses>()
  let counters = 0
  let refusals = new Map<string, Refusals>()
  let dropped = 0

  /** Makes room for one more counter; answers whether there was any. */
  function takeRoom(calls: number): boolean {
    if (counters < countersMax) {
      counters += 1
      return true
    }
    dropped += calls
    return false
  }

  function beginUses(name: string, added: Uses): Uses | undefined {
    if (!takeRoom(sumOf(added))) return undefined
    const begun = { ...added, calls: new Map() }
    uses.set(name, begun)
    return begun
  }

  function addUses(added: Uses): void {
    const name = nameOf(added.day, added.keyId)
    const known = uses.get(name) ?? beginUses(name, added)
    if (known === undefined) return
    for (const [operationId, count] of added.calls) {
      const before = known.calls.get(operationId)
      if (before === undefined && !takeRoom(count)) continue
      known.calls.set(operationId, (before ?? 0) + count)
    }
    if (added.lastAt >= known.lastAt) {
      known.lastAt = added.lastAt
      known.lastIp = added.lastIp
    }
    known.previousSecretAt = laterOf(known.previousSecretAt, added.previousSecretAt)
  }

  function addRefusals(added: Refusals): void {
    const name = `${added.keyId} ${added.kind} ${hourOf(added.firstAt).getTime()}`
    const known = refusals.get(name)
    if (known !== undefined) {
      known.count += added.count
      known.ip = added.ip
      if (added.firstAt < known.firstAt) known.firstAt = added.firstAt
    } else if (refusals.size < countersMax) {
      refusals.set(name, { ...added })
    } else {
      dropped += added.count
    }
  }

  return {
    use({ tenantId, keyId, operationId, now, ip, isPreviousSecret }) {
      const day = Math.floor(now.getTime() / dayMs)
      const known = uses.get(nameOf(day, keyId))
      const before = known?.calls.get(operationId)
      if (known !== undefined && before !== undefined && now >= known.lastAt) {
        known.calls.set(operationId, before + 1)
        known.lastAt = now
        known.lastIp = ip
        if (isPreviousSecret) known.previousSecretAt = now
        return
      }
      addUses({
        tenantId,
        keyId,
        day,
        calls: new Map([[operationId, 1]]),
        lastAt: now,
        lastIp: ip,
        previousSecretAt: isPreviousSecret ? now : null,
      })
    },
    refuse({ now, ...refused }) {
      addRefusals({ ...refused, count: 1, firstAt: now })
    },
    takeUses() {
      const taken = [...uses.values()]
      uses = new Map()
      counters = 0
      return taken
    },
    takeRefusals() {
      const taken = [...refusals.values()]
      refusals = new Map()
      return taken
    },
    returnUses: (returned) => returned.forEach(addUses),
    returnRefusals: (returned) => returned.forEach(addRefusals),
    takeDropped() {
      const taken = dropped
      dropped = 0
      return taken
    },
  }
}

const nameOf = (day: number, keyId: string): string => `${day} ${keyId}`

/** The UTC day that a number of days since 1970 is, as `YYYY-MM-DD`. */
export function dateOfDay(day: number): string {
  return new Date(day * dayMs).toISOString().slice(0, 10)
}

/** The hour in which something counts. */
export function hourOf(moment: Date): Date {
  return new Date(Math.floor(moment.getTime() / hourMs) * hourMs)
}

function sumOf({ calls }: Uses): number {
  return [...calls.values()].reduce((sum, count) => sum + count, 0)
}

function laterOf(one: Date | null, other: Date | null): Date | null {
  if (one === null || other === null) return one ?? other
  return one >= other ? one : other
}
