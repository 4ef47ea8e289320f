import { warnOfExpiry } from './api-keys/expiry.task.ts'
import { makeHours } from './api-metrics/hours.sql.ts'
import { makeUsageReport } from './api-metrics/usage-report.task.ts'
import { anchorAudit } from './audit/anchor.task.ts'
import { confirmSource } from './inbound/confirm.task.ts'
import { forwardReceipt } from './inbound/forward.task.ts'
import { reprocessReceipts } from './inbound/reprocess.task.ts'
import { fireSchedules } from './jobs/fire.task.ts'
import type { Task } from './jobs/task.ts'
import type { Recurring } from './jobs/timetable.ts'
import { expireProposals } from './proposals/expiry.task.ts'
import {
  pruneBeats,
  pruneCallHours,
  pruneCallMinutes,
  pruneMetrics,
} from './retention/figures.sql.ts'
import {
  pruneKeyChanges,
  pruneKeyRecords,
  pruneQuotas,
  pruneReplays,
  pruneReplies,
} from './retention/prune.sql.ts'
import { keepPartitionsAhead, sweepOldRows } from './retention/sweep.task.ts'
import { checkBalance } from './webhooks/balance.task.ts'
import { watchHealth } from './webhooks/health.task.ts'
import { replayWebhooks } from './webhooks/replay.task.ts'
import { resumeWebhooks } from './webhooks/resumption.task.ts'

const second = 1_000
const minute = 60 * second
const hour = 60 * minute

/** The code of each task that jobs are of. */
export const tasks: readonly Task[] = [
  makeUsageReport,
  replayWebhooks,
  resumeWebhooks,
  forwardReceipt,
  reprocessReceipts,
  confirmSource,
]

/** What is done again and again for the whole installation, and how often. */
export const timetable: readonly Recurring[] = [
  { name: 'fire-schedules', everyMs: second, run: fireSchedules },
  // Often, since without a partition for its day nothing is written: an API makes one in need.
  { name: 'make-partitions', everyMs: 5 * minute, run: keepPartitionsAhead },
  { name: 'sweep-old-rows', everyMs: hour, run: sweepOldRows },
  { name: 'prune-replies', everyMs: hour, run: pruneReplies },
  { name: 'prune-key-changes', everyMs: hour, run: pruneKeyChanges },
  { name: 'prune-key-records', everyMs: hour, run: pruneKeyRecords },
  { name: 'prune-quotas', everyMs: hour, run: pruneQuotas },
  { name: 'prune-replays', everyMs: hour, run: pruneReplays },
  // Hourly, whichever worker it falls to: each looks more often whether it is due.
  { name: 'anchor-audit', everyMs: 5 * minute, run: anchorAudit },
  { name: 'make-call-hours', everyMs: 5 * minute, run: makeHours },
  { name: 'prune-call-minutes', everyMs: hour, run: pruneCallMinutes },
  { name: 'prune-call-hours', everyMs: hour, run: pruneCallHours },
  { name: 'prune-beats', everyMs: hour, run: pruneBeats },
  { name: 'prune-metrics', everyMs: hour, run: pruneMetrics },
  // Days end at midnight in UTC, and whoever waits for it should not wait for long.
  { name: 'expire-proposals', everyMs: 5 * minute, run: expireProposals },
  { name: 'check-webhook-balance', everyMs: hour, run: checkBalance },
  { name: 'watch-webhook-health', everyMs: minute, run: watchHealth },
  { name: 'warn-of-expiry', everyMs: 5 * minute, run: warnOfExpiry },
]
