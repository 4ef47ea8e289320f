import { type Callers, createCallers } from './caller.ts'
import type { Ledger } from './checker/finding.ts'
import { type Deed, type Desk, type Habits, newDesk, nextDeed, takeIn, traces } from './deed.ts'
import type { Chance } from './random.ts'
import { type Misdeed, type Receivers, startReceivers, type Watched } from './receivers.ts'
import { newSecret } from './secrets.ts'
import { openTenant, send } from './tenant.ts'

/**
 * The *crew*: callers of several tenants, each at a desk of its own, their receivers, and the ledger of
 * what they were told. It knows an installation by its addresses and keys only.
 */
export interface Crew {
  readonly ledger: Ledger & { deeds: Deed[]; changes: Deed[]; endpoints: Watched[] }
  readonly desks: readonly Desk[]
  /** Does what is next at a desk; answers the deed as it came out. */
  workAt(desk: Desk): Promise<Deed>
  /** All desks at once, until so many deeds have been done in all. */
  work(count: number): Promise<void>
  /** Asks until the deed is done or refused. */
  ask(deed: Deed): Promise<void>
  // biome-ignore lint/suspicious/noExplicitAny: a reply, read as a script would
  read(tenantId: string, path: string): Promise<any>
  /** A receiver for one more endpoint of a tenant. */
  watch(tenantId: string, name: string): Watched
  /** Another URL for the receiver of an endpoint. */
  addressOf(watched: Watched): string
  /** Answers by status; 0 is none. */
  readonly answers: ReadonlyMap<number, number>
  stop(): Promise<void>
}

export interface CrewOptions {
  /** An API that is thought to answer; another one for the next try. */
  urlFor: (attempt: number) => string
  operatorKey: string
  tenants: number
  /** Of each tenant. */
  desks: number
  chance: Chance
  habits: Habits
  /** What a receiver does to the next first request; kind unless told. */
  misdeed?: () => Misdeed | undefined
  /** How long a worker may be stopped while it is about to send. */
  graceMs?: number
  /** Told of deeds that were acknowledged, and again when all endpoints know of them. */
  onAcknowledged?: (deed: Deed) => void
  onTold?: (key: string) => void
  onMisdeed?: (misdeed: Misdeed, key: string) => void
}

/** Of each tenant, one endpoint hears of everything and one of money. */
export const subscriptions = { all: ['*'], money: ['payment.received', 'invoice.paid'] } as const

export async function hireCrew(options: CrewOptions): Promise<Crew> {
  const { chance, urlFor } = options
  const keys = new Map<string, string>()
  const answers = new Map<number, number>()
  const untold = new Map<string, number>()
  const deeds: Deed[] = []
  const receivers = await startReceivers({
    misdeed: options.misdeed ?? (() => undefined),
    onMisdeed: options.onMisdeed ?? (() => undefined),
    graceMs: options.graceMs ?? 1_000,
    onTaken: ({ isCounted }, key) => {
      if (!isCounted) return
      const rest = (untold.get(key) ?? 0) - 1
      if (rest > 0) return void untold.set(key, rest)
      if (untold.delete(key)) options.onTold?.(key)
    },
  })
  const endpoints: Watched[] = []
  const changes: Deed[] = []
  const desks: Desk[] = []
  for (let at = 0; at < options.tenants; at += 1) {
    const { tenantId, key } = await openTenant(options, `Tenant ${at}`)
    keys.set(tenantId, key)
    endpoints.push(...(await openEndpoints(urlFor, receivers, tenantId, key, at)))
    for (let place = 0; place < options.desks; place += 1) {
      const name = `t${at}-d${place}`
      desks.push(newDesk({ tenantId, name, chance: chance.fork(name), habits: options.habits }))
    }
  }
  const note = (status: number) => void answers.set(status, (answers.get(status) ?? 0) + 1)
  const keyOf = (tenantId: string) => keys.get(tenantId) ?? ''
  const callers: Callers = createCallers({ urlFor, keyOf, note }, desks.length * 2)

  async function workAt(desk: Desk): Promise<Deed> {
    const deed = nextDeed(desk)
    deeds.push(deed)
    untold.set(deed.key, timesTold(deed))
    await callers.ask(deed)
    if (deed.state !== 'ACKNOWLEDGED') return deed
    takeIn(desk, deed)
    options.onAcknowledged?.(deed)
    return deed
  }

  async function work(count: number): Promise<void> {
    let left = count
    const at = async (desk: Desk) => {
      while (left > 0) {
        left -= 1
        await workAt(desk)
      }
    }
    await Promise.all(desks.map(at))
  }

  return {
    ...{ desks, workAt, work, answers },
    ...{ ask: callers.ask, read: callers.read, addressOf: receivers.addressOf },
    watch(tenantId, name) {
      const watched = receivers.watch(tenantId, name)
      endpoints.push(watched)
      return watched
    },
    ledger: { tenantIds: [...keys.keys()], deeds, changes, endpoints },
    async stop() {
      await callers.close()
      receivers.close()
    },
  }
}

/** How many deliveries tell of a deed. */
function timesTold({ operation }: Deed): number {
  const types: readonly string[] = traces[operation]
  const money: readonly string[] = subscriptions.money
  return types.length + types.filter((type) => money.includes(type)).length
}

async function openEndpoints(
  urlFor: CrewOptions['urlFor'],
  receivers: Receivers,
  tenantId: string,
  key: string,
  at: number,
): Promise<Watched[]> {
  const opened: Watched[] = []
  for (const [name, eventTypes] of Object.entries(subscriptions)) {
    const watched = receivers.watch(tenantId, `t${at}-${name}`)
    const body = { url: watched.url, eventTypes }
    const askedMs = Date.now()
    const { id, secret } = await send(urlFor, key, 'POST', '/webhook-endpoints', body)
    watched.secrets.push(newSecret(secret, { earliestMs: askedMs, latestMs: Date.now() }))
    opened.push(Object.assign(watched, { id, isCounted: true }))
  }
  return opened
}
