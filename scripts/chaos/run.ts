import { type BalanceSeen, watchBalance } from './balance.ts'
import { changesOf, type PlannedChange } from './change.ts'
import { check, settled } from './checker/check.ts'
import type { Finding } from './checker/finding.ts'
import { type Crew, hireCrew } from './crew.ts'
import type { Deed } from './deed.ts'
import { type Editor, hireEditor } from './editor.ts'
import { type Installation, openInstallation } from './installation.ts'
import { type Injection, planOf, type Size } from './plan.ts'
import { chanceOf } from './random.ts'
import type { Misdeed } from './receivers.ts'
import { type Recovery, startWatch, type Watch } from './watch.ts'

export interface Outcome {
  recoveries: readonly Recovery[]
  findings: readonly Finding[]
  /** By status; 0 is none. */
  answers: ReadonlyMap<number, number>
  deeds: Record<'acknowledged' | 'abandoned' | 'abandonedDone', number>
  log: Record<'events' | 'deliveries' | 'attempts' | 'interrupted' | 'told' | 'toldTwice', number>
  misdeeds: Readonly<Record<string, number>>
  /** What was done to endpoints, by name. */
  changes: ReadonlyMap<string, number>
  replayed: Record<'replays' | 'calledOff' | 'deliveries' | 'redeliveries', number>
  balance: BalanceSeen
  ownEnds: readonly string[]
  writingMs: number
  settlingMs: number
  isSettled: boolean
}

const crewSize = { tenants: 4, desks: 8 }
/** Those of each tenant that are there from the beginning. */
const endpointsEach = 2

/** What receivers do to first requests, and how likely it is. */
const misdeeds: readonly [Misdeed, number][] = [
  ['error', 0.002],
  ['throttle', 0.001],
  ['slow', 0.002],
  ['reset', 0.002],
  ['hang', 0.0002],
]

/** Longer than a lease, a hanging receiver and a retry together. */
const settleMs = 600_000

/** Runs a whole installation, makes it go wrong by the plan of the seed, and checks what is left. */
export async function runChaos(
  seed: number,
  size: Size,
  say: (line: string) => void,
  onOpened: (installation: Installation) => void = () => undefined,
): Promise<Outcome> {
  const installation = await openInstallation()
  onOpened(installation)
  try {
    return await run(installation, seed, size, say)
  } finally {
    await installation.stop()
  }
}

async function run(
  installation: Installation,
  seed: number,
  size: Size,
  say: (line: string) => void,
): Promise<Outcome> {
  const { fleet, query, operatorKey } = installation
  const watch = startWatch()
  const chance = chanceOf(seed)
  const counts: Record<string, number> = {}
  const ofReceivers = chance.fork('receivers')
  const crew = await hireCrew({
    ...{ urlFor: fleet.urlFor, operatorKey, ...crewSize, chance: chance.fork('crew') },
    habits: { twice: 0.01, abandoned: 0.02, jobs: 0.01 },
    graceMs: 2_000 + 1_000 * Math.max(...size.stopSeconds),
    misdeed: () => misdeedOf(ofReceivers.next()),
    onMisdeed(misdeed, key) {
      counts[misdeed] = (counts[misdeed] ?? 0) + 1
      watch.excused(key)
    },
    onAcknowledged: watch.acknowledged,
    onTold: watch.told,
  })
  const balance = watchBalance(query, crew.ledger.tenantIds)
  try {
    const startMs = performance.now()
    const editor = hireEditor(crew, chance.fork('editor'))
    const done = () => crew.ledger.deeds.length / size.writes
    const places = { tenants: crewSize.tenants, endpoints: endpointsEach }
    const changes = edit(editor, changesOf(seed, size.changes, places), { done, say })
    const troubles = inject(installation, planOf(seed, size), watch, { done, say })
    await crew.work(size.writes)
    const writtenMs = performance.now()
    await Promise.all([troubles, changes])
    await editor.catchUp()
    const isSettled = await settled(query, settleMs)
    const settledMs = performance.now()
    const seen = await balance.stop()
    say('All is quiet: checking.')
    return {
      ...{ recoveries: watch.recoveries, answers: crew.answers, misdeeds: counts, isSettled },
      findings: [...seen.findings, ...blunders(crew.answers), ...(await check(query, crew.ledger))],
      ...{ changes: editor.counts, balance: seen },
      replayed: await countReplayed(installation, crew.ledger),
      deeds: await countDeeds(installation, crew.ledger),
      log: await countLog(installation, crew.ledger),
      ownEnds: fleet.ownEnds,
      writingMs: writtenMs - startMs,
      settlingMs: settledMs - writtenMs,
    }
  } finally {
    await balance.stop()
    await crew.stop()
  }
}

/** Whatever goes wrong, no caller is told that we do not know what it is. */
function blunders(answers: ReadonlyMap<number, number>): Finding[] {
  const count = answers.get(500) ?? 0
  return count === 0 ? [] : [{ kind: 'BROKEN', what: 'calls were answered 500', where: `${count}` }]
}

function misdeedOf(roll: number): Misdeed | undefined {
  let rest = roll
  for (const [misdeed, likelihood] of misdeeds) {
    rest -= likelihood
    if (rest < 0) return misdeed
  }
  return undefined
}

/** Makes each trouble when its share of the writes has been done; resolves when all are over. */
async function inject(
  installation: Installation,
  plan: readonly Injection[],
  watch: Watch,
  { done, say }: { done: () => number; say: (line: string) => void },
): Promise<void> {
  const under: Promise<void>[] = []
  for (const injection of plan) {
    while (done() < injection.at) await rest(20)
    const recovery = watch.injected(injection)
    say(`${(injection.at * 100).toFixed(1)} %  ${JSON.stringify(injection)}`)
    under.push(
      makeTrouble(installation, injection).then(() => {
        recovery.overMs = performance.now() - recovery.startMs
      }),
    )
  }
  await Promise.all(under)
}

/** Makes each change when its share of the writes has been done; resolves when all are made. */
async function edit(
  editor: Editor,
  plan: readonly PlannedChange[],
  { done, say }: { done: () => number; say: (line: string) => void },
): Promise<void> {
  const under: Promise<void>[] = []
  for (const change of plan) {
    while (done() < change.at) await rest(20)
    say(`${(change.at * 100).toFixed(1)} %  ${JSON.stringify(change)}`)
    under.push(editor.make(change))
  }
  await Promise.all(under)
}

/** Resolves once the cause of the trouble is gone. */
async function makeTrouble(
  { fleet, proxy, killPostgres }: Installation,
  trouble: Injection,
): Promise<void> {
  switch (trouble.kind) {
    case 'kill':
      return await fleet.kill(trouble.role, trouble.slot)
    case 'postgres':
      return await killPostgres()
    case 'stop':
      fleet.freeze('worker', trouble.slot)
      await rest(trouble.seconds * 1_000)
      return fleet.thaw('worker', trouble.slot)
    case 'slow':
      proxy.slow(trouble.delayMs)
      await rest(trouble.seconds * 1_000)
      return proxy.slow(0)
    case 'stall':
      proxy.stall()
      await rest(trouble.seconds * 1_000)
      if (trouble.isCutAfter) proxy.cut(1)
      return proxy.flow()
    case 'cut':
      return proxy.cut(trouble.share)
    default:
      return trouble satisfies never
  }
}

function rest(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

type CrewLedger = Crew['ledger']

async function countDeeds({ query }: Installation, { deeds, tenantIds }: CrewLedger) {
  const abandoned = deeds.filter(({ state }) => state === 'ABANDONED').map(({ key }) => key)
  const kept = await query('select from idempotency where tenant_id = any($1) and key = any($2)', [
    tenantIds,
    abandoned,
  ])
  const acknowledged = deeds.filter(({ state }) => state === 'ACKNOWLEDGED').length
  return { acknowledged, abandoned: abandoned.length, abandonedDone: kept.length }
}

async function countLog({ query }: Installation, { endpoints, tenantIds }: CrewLedger) {
  const [rows] = await query<Omit<Outcome['log'], 'told' | 'toldTwice'>>(
    `select (select count(*)::int from event where tenant_id = any($1)) as events,
      (select count(*)::int from webhook_delivery where tenant_id = any($1)) as deliveries,
      (select count(*)::int from attempt where tenant_id = any($1)) as attempts,
      (select count(*)::int from attempt
        where tenant_id = any($1) and outcome = 'INTERRUPTED') as interrupted`,
    [tenantIds],
  )
  const arrivals = endpoints.flatMap((endpoint) => [...endpoint.arrivals.values()])
  return {
    ...(rows ?? { events: 0, deliveries: 0, attempts: 0, interrupted: 0 }),
    told: arrivals.reduce((sum, { count }) => sum + count, 0),
    toldTwice: arrivals.filter(({ taken }) => taken > 1).length,
  }
}

async function countReplayed({ query }: Installation, { changes, tenantIds }: CrewLedger) {
  const [rows] = await query<{ deliveries: number }>(
    `select coalesce(sum(delivery_count), 0)::int as deliveries from webhook_replay
     where tenant_id = any($1)`,
    [tenantIds],
  )
  const count = (operation: Deed['operation']) =>
    changes.filter((deed) => deed.operation === operation && deed.state === 'ACKNOWLEDGED').length
  const calledOff = count('replayInPart')
  return {
    replays: count('replayWebhooks') + calledOff,
    calledOff,
    deliveries: rows?.deliveries ?? 0,
    redeliveries: count('redeliver'),
  }
}
