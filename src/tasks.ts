import { anchorAudit } from './audit/anchor.task.ts'
import type { Recurring } from './jobs/timetable.ts'
import {
  makePartitions,
  pruneKeyChanges,
  pruneKeyRecords,
  pruneQuotas,
  pruneReplies,
} from './retention/prune.sql.ts'

const minute = 60 * 1_000
const hour = 60 * minute

/** What is done again and again for the whole installation, and how often. */
export const timetable: readonly Recurring[] = [
  { name: 'make-partitions', everyMs: hour, run: makePartitions },
  { name: 'prune-replies', everyMs: hour, run: pruneReplies },
  { name: 'prune-key-changes', everyMs: hour, run: pruneKeyChanges },
  { name: 'prune-key-records', everyMs: hour, run: pruneKeyRecords },
  { name: 'prune-quotas', everyMs: hour, run: pruneQuotas },
  // Hourly, whichever worker it falls to: each looks more often whether it is due.
  { name: 'anchor-audit', everyMs: 5 * minute, run: anchorAudit },
]
