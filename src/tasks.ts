import { makeHours } from './api-metrics/hours.sql.ts'
import { makeUsageReport } from './api-metrics/usage-report.task.ts'
import { anchorAudit } from './audit/anchor.task.ts'
import { fireSchedules } from './jobs/fire.task.ts'
import type { Task } from './jobs/task.ts'
import type { Recurring } from './jobs/timetable.ts'
import {
  eraseBodies,
  pruneBeats,
  pruneCallHours,
  pruneCallMinutes,
} from './retention/figures.sql.ts'
import {
  makePartitions,
  pruneKeyChanges,
  pruneKeyRecords,
  pruneQuotas,
  pruneReplies,
} from './retention/prune.sql.ts'

const second = 1_000
const minute = 60 * second
const hour = 60 * minute

/** The code of each task that jobs are of. */
export const tasks: readonly Task[] = [makeUsageReport]

/** What is done again and again for the whole installation, and how often. */
export const timetable: readonly Recurring[] = [
  { name: 'fire-schedules', everyMs: second, run: fireSchedules },
  { name: 'make-partitions', everyMs: hour, run: makePartitions },
  { name: 'prune-replies', everyMs: hour, run: pruneReplies },
  { name: 'prune-key-changes', everyMs: hour, run: pruneKeyChanges },
  { name: 'prune-key-records', everyMs: hour, run: pruneKeyRecords },
  { name: 'prune-quotas', everyMs: hour, run: pruneQuotas },
  // Hourly, whichever worker it falls to: each looks more often whether it is due.
  { name: 'anchor-audit', everyMs: 5 * minute, run: anchorAudit },
  { name: 'make-call-hours', everyMs: 5 * minute, run: makeHours },
  { name: 'prune-call-minutes', everyMs: hour, run: pruneCallMinutes },
  { name: 'prune-call-hours', everyMs: hour, run: pruneCallHours },
  { name: 'prune-beats', everyMs: hour, run: pruneBeats },
  { name: 'erase-bodies', everyMs: hour, run: eraseBodies },
]
