import { firstIdAt } from '../../src/ids.ts'
import { type BalanceSeen, watchBalance } from './balance.ts'
import { settled } from './checker/check.ts'
import type { Finding, Query } from './checker/finding.ts'
import { type Installation, openInstallation } from './installation.ts'
import { checkRecovered } from './recovery/check.ts'
import { type Live, startLive } from './recovery/live.ts'
import { type RecoveryReceivers, startReceivers } from './recovery/receiver.ts'
import { openTenant, send, type UrlFor } from './tenant.ts'

/**
 * A receiver forgets everything that it was told since a moment, and asks for all of it again: while
 * that is replayed both workers are killed, and Postgres, and another endpoint of the same tenant is
 * told of what happens meanwhile.
 */
export interface Recovered {
  findings: readonly Finding[]
  isSettled: boolean
  events: number
  /** From the request for the replay until all of it had come. */
  tookMs: number
  /** How much had come again when somebody was killed. */
  killedAt: readonly number[]
  /** What came twice, and attempts of which nobody knew whether they came. */
  doubled: number
  inDoubt: number
  /** From a call's reply to its webhook: with nothing else going on, and beside the replay. */
  waits: { quiet: readonly number[]; beside: readonly number[] }
  balance: BalanceSeen
}

/** Told before the loss, and never again. */
const shareBefore = 0.05
const quietMs = 5_000
/** Recovery from a kill is not what is measured of the other endpoint. */
const afterKillMs = 5_000
/** Events written at once. */
const batchMax = 5_000
/** As fast as a replay may be. */
const deliveriesPerSecond = 1_000

export async function runRecovery(
  events: number,
  say: (line: string) => void,
  onOpened: (installation: Installation) => void = () => undefined,
): Promise<Recovered> {
  const installation = await openInstallation()
  onOpened(installation)
  try {
    return await recover(installation, events, say)
  } finally {
    await installation.stop()
  }
}

async function recover(
  { fleet, query, operatorKey, killPostgres }: Installation,
  events: number,
  say: (line: string) => void,
): Promise<Recovered> {
  const { urlFor } = fleet
  const { tenantId, key } = await openTenant({ urlFor, operatorKey }, 'Forgetful')
  let live: Live | undefined
  const receivers = await startReceivers((id) => live?.heard(id))
  const balance = watchBalance(query, [tenantId])
  const patienceMs = 120_000 + events * 20
  try {
    const open = async (url: string, type: string): Promise<string> =>
      (await send(urlFor, key, 'POST', '/webhook-endpoints', { url, eventTypes: [type] })).id
    const endpointId = await open(receivers.lostUrl, 'client.created')
    await open(receivers.liveUrl, 'payment.received')

    await publish(query, tenantId, Math.ceil(events * shareBefore))
    const sinceMs = Date.now()
    const filledMs = performance.now()
    await publish(query, tenantId, events)
    if (!(await settled(query, patienceMs))) throw new Error('it was not told the first time')
    say(`told the first time after ${Math.round(performance.now() - filledMs)} ms`)

    live = startLive(urlFor, key)
    const quietFromMs = performance.now()
    await rest(quietMs)
    const startMs = performance.now()
    receivers.forget()
    const jobId = await askFor(urlFor, key, endpointId, sinceMs)
    const killedAt: number[] = []
    const killsMs: [from: number, to: number][] = []
    for (const [share, kill] of [
      [1 / 3, () => Promise.all([fleet.kill('worker', 0), fleet.kill('worker', 1)])],
      [2 / 3, killPostgres],
    ] as const) {
      await toldAgain(receivers, events * share, patienceMs)
      const fromMs = performance.now()
      killedAt.push(receivers.toldSince)
      await kill()
      killsMs.push([fromMs, performance.now() + afterKillMs])
      say(`killed after ${killedAt.at(-1)} of ${events}`)
    }
    await toldAgain(receivers, events, patienceMs)
    const endMs = performance.now()
    await live.stop()
    const isSettled = await settled(query, patienceMs)
    const checked = await checkRecovered(
      query,
      { tenantId, endpointId, sinceMs },
      receivers.tellings,
    )
    const seen = await balance.stop()
    const isLeftOut = (atMs: number) => killsMs.some(([from, to]) => atMs >= from && atMs < to)
    return {
      ...{ events, isSettled, balance: seen, tookMs: endMs - startMs },
      ...{ killedAt, doubled: checked.doubled, inDoubt: checked.inDoubt },
      findings: [
        ...checked.findings,
        ...seen.findings,
        ...(await checkJob(query, { jobId, tenantId }, events)),
      ],
      waits: {
        quiet: live.waitsOf(quietFromMs, startMs),
        beside: live.waitsOf(startMs, endMs, isLeftOut),
      },
    }
  } finally {
    await live?.stop()
    await balance.stop()
    receivers.close()
  }
}

async function askFor(urlFor: UrlFor, key: string, endpointId: string, sinceMs: number) {
  const { id } = await send(urlFor, key, 'POST', '/webhook-replays', {
    ...{ since: new Date(sinceMs), which: 'ALL', endpointIds: [endpointId] },
    ...{ webhookId: 'KEEP', deliveriesPerSecond },
  })
  return id as string
}

async function toldAgain(
  receivers: RecoveryReceivers,
  count: number,
  patienceMs: number,
): Promise<void> {
  const endMs = performance.now() + patienceMs
  while (receivers.toldSince < count && performance.now() < endMs) await rest(10)
}

/** What the job says that it did is what there was to be done, whoever went on with it. */
async function checkJob(
  query: Query,
  { jobId, tenantId }: { jobId: string; tenantId: string },
  events: number,
): Promise<Finding[]> {
  const [job] = await query<{ status: string; count: number }>(
    `select job.status, replay.delivery_count::int as count
     from job left join webhook_replay as replay on replay.job_id = job.id
     where job.tenant_id = $1 and job.id = $2`,
    [tenantId, jobId],
  )
  if (job?.status === 'SUCCEEDED' && job.count === events) return []
  const what = `a replay that is ${job?.status} and says that it made ${job?.count} due`
  return [{ kind: 'BROKEN', what, where: jobId }]
}

/** Writes events as calls do, only faster: each with its body, waiting to be numbered. */
async function publish(query: Query, tenantId: string, count: number): Promise<void> {
  for (let left = count; left > 0; left -= batchMax) {
    const now = new Date()
    const firstId = firstIdAt('evt', now.getTime()).slice(0, 14)
    await query(publishText, [tenantId, firstId, now, Math.min(left, batchMax)])
    // The moment is in the ids: the next ones are of another.
    await rest(2)
  }
}

const publishText = `
  with made as (
    select $2 || lpad(n::text, 16, '0') as id, ($3::timestamptz at time zone 'utc')::date as day, n
    from generate_series(1, $4::int) as n
  ), pending as (
    insert into event_pending (tenant_id, event_id, created_on, type)
    select $1, id, day, 'client.created' from made order by id
  )
  insert into event (tenant_id, id, created_on, type, version, occurred_at, correlation_id, body)
  select $1, id, day, 'client.created', 1, $3, id, convert_to('{"id":"' || id
    || '","type":"client.created","version":1,"data":{"name":"Client ' || n || '","note":"'
    || repeat('x', 400) || '"}}', 'utf8') from made`

function rest(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
