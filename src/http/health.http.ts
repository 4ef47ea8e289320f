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
  const checks = await checkDatabase(ctx)
  const isWarning = checks.some(({ status }) => status === 'WARN')
  return { status: 200, body: { status: isWarning ? 'DEGRADED' : 'READY', checks } }
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
  const isLocal = call.ip === '127.0.0.1' || call.ip === '::1' || call.ip === '::ffff:127.0.0.1'
  const isKnown = config.metricsToken !== undefined && call.bearer === config.metricsToken
  if (!isLocal && !isKnown) throw problem('forbidden_address')
  return { status: 200, body: await metricsText() }
}
