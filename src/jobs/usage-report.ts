import type {
  RollingUsageReportInput,
  UsageReportGrouping,
  UsageReportInput,
} from '#generated/types.ts'
import type { Misfit } from './misfit.ts'
import { taskName } from './task.ts'

/** What the report of a tenant's usage is about: a period in UTC, and how its calls are grouped. */
export interface UsageReportPayload {
  from: string
  to: string
  groupBy: UsageReportGrouping
}

/** Counts a tenant's calls, events and deliveries; `api-metrics` has the code. */
export const usageReport = taskName<UsageReportPayload>('USAGE_REPORT')

/** What is grouped in no other way is grouped by day. */
export function reportOf({ from, to, groupBy = 'DAY' }: UsageReportInput): UsageReportPayload {
  return { from, to, groupBy }
}

/** The same for reports that are made again and again. */
export function rollingReportOf({ days, groupBy = 'DAY' }: RollingUsageReportInput) {
  return { days, groupBy }
}

const dayMs = 24 * 60 * 60 * 1_000

/** A report reads a day at a time; more than a quarter of them is more than anybody reads. */
const reportDaysMax = 92

export function misfitOfPeriod({ from, to }: UsageReportPayload): Misfit | undefined {
  const lengthMs = Date.parse(to) - Date.parse(from)
  const pointer = '/payload/from'
  if (lengthMs <= 0) return { pointer, message: 'must be before `to`' }
  if (lengthMs <= reportDaysMax * dayMs) return undefined
  return { pointer, message: `must be at most ${reportDaysMax} days before \`to\`` }
}

/** The days that end with the time of a schedule. */
export function daysBefore(
  { days, groupBy }: ReturnType<typeof rollingReportOf>,
  at: Date,
): UsageReportPayload {
  const from = new Date(at.getTime() - days * dayMs)
  return { from: from.toISOString(), to: at.toISOString(), groupBy }
}
