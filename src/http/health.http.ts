import { createHash, timingSafeEqual } from 'node:crypto'
import type { Context } from '#context.ts'
import type { ReadinessInfo } from '#generated/types.ts'
import { perContext } from '#per-context.ts'
import { metricsText } from './metrics.ts'
import type { Operation } from './operation.ts'
import { type Problem, problem } from './problem.ts'

/** Below so many days of partitions ahead, somebody should look why none are made. */
const partitionsAheadMin = 3

type Check = ReadinessInfo['checks'][number]

export const getLiveness: Operation<'getLiveness'> = async () => {
  return { status: 200, body: { status: 'ALIVE' } }
}

export const getReadiness: Operation<'getReadiness'> = async (ctx, { isLeaving }) => {
  if (isLeaving) throw notReady('The process is stopping: send no more requests here.')
  const checks = await lookOf(ctx)()
  const isWarning = checks.some(({ status }) => status === 'WARN')
  return { status: 200, body: { status: isWarning ? 'DEGRADED' : 'READY', checks } }
}

function notReady(detail: string, cause?: unknown): Problem {
  return problem('unavailable', { detail, headers: { 'retry-after': '1' }, cause })
}

/** A look is good for this long, so that asking often, or many at once, costs nothing. */
const lookMs = 1_000

/** A database that takes longer to say so little serves nobody. */
const answerMsMax = 1_000

const lookOf = perContext((ctx) => {
  let last: { atMs: number; checks: Promise<Check[]> } | undefined
  return (): Promise<Check[]> => {
    const atMs = performance.now()
    if (last === undefined || atMs - last.atMs >= lookMs) {
      last = { atMs, checks: checkDatabase(ctx) }
    }
    return last.checks
  }
})

interface Answer {
  ahead: number
  now: Date
}

async function checkDatabase({ db, clock }: Context): Promise<Check[]> {
  const today = clock.now().toISOString().slice(0, 10)
  const asked = db.readers.query<Answer>(
    'select ubos_partitions_ahead($1) as ahead, clock_timestamp() as now',
    [today],
  )
  const rows = await inTime(asked).catch((cause) => {
    throw notReady('The database does not answer.', cause)
  })
  const { ahead = 0, now = clock.now() } = rows[0] ?? {}
  const skewMs = clock.now().getTime() - now.getTime()
  return [
    { name: 'database', status: 'PASS', detail: null },
    { name: 'clock', status: isFar(skewMs) ? 'WARN' : 'PASS', detail: skewText(skewMs) },
    {
      name: 'partitions',
      status: ahead < partitionsAheadMin ? 'WARN' : 'PASS',
      detail: `Made for ${ahead} days ahead.`,
    },
  ]
}

async function inTime<Found>(asked: Promise<Found>): Promise<Found> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error('no answer in time')), answerMsMax)
  return await Promise.race([asked, late]).finally(() => clearTimeout(timer))
}

/** Of two clocks that far apart, one makes receivers doubt signatures and retries come at odd times. */
const skewMsMax = 30_000

const isFar = (skewMs: number) => Math.abs(skewMs) > skewMsMax

function skewText(skewMs: number): string {
  if (!isFar(skewMs)) return "Agrees with the database's."
  const seconds = Math.round(Math.abs(skewMs) / 1_000)
  return `${seconds} s ${skewMs > 0 ? 'ahead of' : 'behind'} the database's.`
}

export const getMetrics: Operation<'getMetrics'> = async ({ config }, call) => {
  if (!call.isLocal && !isToken(call.bearer, config.metricsToken)) {
    throw problem('forbidden_address')
  }
  return { status: 200, body: await metricsText() }
}

function isToken(given: string | undefined, token: string | undefined): boolean {
  if (given === undefined || token === undefined) return false
  const [a, b] = [given, token].map((text) => createHash('sha256').update(text).digest())
  return a !== undefined && b !== undefined && timingSafeEqual(a, b)
}
