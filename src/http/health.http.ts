import { createHash, timingSafeEqual } from 'node:crypto'
import type { Context } from '#context.ts'
import type { ReadinessInfo } from '#generated/types.ts'
import { metricsText } from './metrics.ts'
import type { Operation } from './operation.ts'
import { problem } from './problem.ts'

/** Below so many days of partitions ahead, somebody should look why none are made. */
const partitionsAheadMin = 3

type Check = ReadinessInfo['checks'][number]

export const getLiveness: Operation<'getLiveness'> = async () => {
  return { status: 200, body: { status: 'ALIVE' } }
}

export const getReadiness: Operation<'getReadiness'> = async (ctx) => {
  const checks = await looked(ctx)
  const isWarning = checks.some(({ status }) => status === 'WARN')
  return { status: 200, body: { status: isWarning ? 'DEGRADED' : 'READY', checks } }
}

/** A look is good for this long, so that asking often, or many at once, costs nothing. */
const lookMs = 1_000

const looks = new WeakMap<Context, { atMs: number; checks: Promise<Check[]> }>()

function looked(ctx: Context): Promise<Check[]> {
  const last = looks.get(ctx)
  const atMs = performance.now()
  if (last !== undefined && atMs - last.atMs < lookMs) return last.checks
  const checks = checkDatabase(ctx)
  looks.set(ctx, { atMs, checks })
  return checks
}

async function checkDatabase({ db, clock }: Context): Promise<Check[]> {
  const today = clock.now().toISOString().slice(0, 10)
  const rows = await db.readers
    .query<{ ahead: number }>('select ubos_partitions_ahead($1) as ahead', [today])
    .catch((cause) => {
      throw problem('unavailable', { detail: 'The database does not answer.', cause })
    })
  const ahead = rows[0]?.ahead ?? 0
  const isLow = ahead < partitionsAheadMin
  return [
    { name: 'database', status: 'PASS', detail: null },
    {
      name: 'partitions',
      status: isLow ? 'WARN' : 'PASS',
      detail: `Made for ${ahead} days ahead.`,
    },
  ]
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
