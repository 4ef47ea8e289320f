import type { Context } from '#context.ts'
import { transact } from '#db/transact.ts'
import type { ApiMetricsGrouping } from '#generated/types.ts'
import type { Call, Operation } from '#http/operation.ts'
import { problem } from '#http/problem.ts'
import { type CallFilter, countMinutesUp, findRolledUntil, sumCalls } from './api-metrics.sql.ts'
import { addedUp, lengthOf, toFigures, toGroups } from './api-metrics.ts'
import { judgeTargets, windowMs } from './api-targets.ts'
import { coverOf, minutesReliedOnMs, type Span } from './cover.ts'
import { minuteOf } from './tally.ts'

const hourMs = 60 * 60 * 1_000

/** What a reply may cover; with minutes, a day of those that are still there. */
const coveredMsMax = { hours: 31 * 24 * hourMs, minutes: 24 * hourMs }

export const getApiMetrics: Operation<'getApiMetrics'> = async (ctx, call, { query }) => {
  const nowMs = call.now.getTime()
  const toMs = Math.min(query.to === undefined ? nowMs : Date.parse(query.to), nowMs)
  const fromMs = query.from === undefined ? toMs - hourMs : Date.parse(query.from)
  const { groupBy } = query
  requireRange({ fromMs, toMs }, groupBy, nowMs)

  const { covered, groups } = await sum(ctx, call, { fromMs, toMs }, groupBy, query)
  return {
    status: 200,
    body: {
      from: new Date(covered.fromMs).toISOString(),
      to: new Date(covered.toMs).toISOString(),
      groupBy,
      total: toFigures(addedUp(groups), lengthOf(covered)),
      groups: toGroups(groups, groupBy, covered),
    },
  }
}

export const getApiTargets: Operation<'getApiTargets'> = async (ctx, call, { query }) => {
  // Whole minutes only: the one that runs may yet turn out well or badly.
  const toMs = minuteOf(call.now.getTime())
  const span = { fromMs: toMs - windowMs[query.window], toMs }
  const minutes = await transact(ctx, call.tenantId, (tx) => countMinutesUp(tx, span))
  const { covered, groups } = await sum(ctx, call, span, 'NONE', {})
  return {
    status: 200,
    body: {
      window: query.window,
      from: new Date(covered.fromMs).toISOString(),
      to: new Date(covered.toMs).toISOString(),
      targets: judgeTargets({ minutes, calls: addedUp(groups) }),
    },
  }
}

/** On a connection of its own: sums can be slow, and would hold up the reads behind them. */
async function sum(
  ctx: Context,
  call: Call,
  asked: Span,
  groupBy: ApiMetricsGrouping,
  filter: CallFilter,
) {
  return await transact(ctx, call.tenantId, async (tx) => {
    const nowMs = call.now.getTime()
    const cover = coverOf(asked, nowMs, await findRolledUntil(tx), groupBy !== 'MINUTE')
    const groups = await sumCalls(tx, call.tenantId, cover, groupBy, filter)
    const { fromMs, toMs } = cover.span
    return { covered: { fromMs, toMs: Math.min(toMs, nowMs) }, groups }
  })
}

function requireRange({ fromMs, toMs }: Span, groupBy: ApiMetricsGrouping, nowMs: number): void {
  if (fromMs >= toMs) throw outOfRange('must be before `to` and in the past')
  if (groupBy !== 'MINUTE') {
    if (toMs - fromMs > coveredMsMax.hours) throw outOfRange('must be at most 31 days before `to`')
    return
  }
  if (toMs - fromMs > coveredMsMax.minutes) {
    throw outOfRange('must be at most 24 hours before `to` where calls are grouped by minute')
  }
  if (fromMs < nowMs - minutesReliedOnMs) {
    throw outOfRange('must be within the last 47 hours where calls are grouped by minute')
  }
}

function outOfRange(message: string) {
  return problem('invalid_request', {
    detail: `from ${message}.`,
    errors: [{ parameter: 'from', code: 'out_of_range', message }],
  })
}
